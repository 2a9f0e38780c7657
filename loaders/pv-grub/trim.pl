#!/usr/bin/perl
# What PV-GRUB does not link is not compiled: of newlib's 650 objects it takes about 120, of PolarSSL's 37 one.
# Works on the trees that stubdom's Makefile has unpacked and patched; a linker finds the same members in the same
# order as in a whole library, and says so where one is missing (docs/pv-grub.md).
#
#   trim.pl newlib FOLDER MEMBERS     MEMBERS: a file with one member's name a line, "#" begins a comment
#   trim.pl polarssl FOLDER
use strict;
use warnings;
use File::Find;
use File::Path 'remove_tree';

sub slurp { my ($file) = @_; local $/; open my $in, '<', $file or die "$file: $!\n"; return scalar <$in> }
sub spew { my ($file, $text) = @_; open my $out, '>', $file or die "$file: $!\n"; print $out $text; close $out or die "$file: $!\n" }

sub newlib {
    my ($folder, $list) = @_;
    my %wanted = map { $_ => 1 } grep { /\S/ } map { s/\s*(#.*)?$//r } split /\n/, slurp($list);
    # newlib's own makefile takes these out of libm by name.
    my ($math) = slurp("$folder/newlib/Makefile.in") =~ /^MATHOBJS_IN_LIBC =((?:.*\\\n)*.*)/m or die "newlib: no MATHOBJS_IN_LIBC\n";
    my %keep = (%wanted, map { $_ => 1 } $math =~ /\$\(lpfx\)(\w+)/g);
    my %seen;
    find({ no_chdir => 1, wanted => sub {
        return unless m{/Makefile\.in$} && -f;
        my $text = slurp($_);
        my $count = $text =~ s{\blib_a-([\w-]+)\.\$\(OBJEXT\)}{$seen{$1}++; $keep{$1} ? $& : ''}ge;
        spew($_, $text) if $count;
        # Members that are made by rules of their own; they stay, wanted or not.
        $seen{$_}++ for $text =~ /\$\(lpfx\)([\w-]+)\.\$\(oext\)/g;
    } }, "$folder/newlib/libc", "$folder/newlib/libm");
    my @missing = grep { !$seen{$_} } sort keys %keep;
    die "newlib has no member @missing\n" if @missing;
    # Not in any image, and only here for Xen's patches: the board support library, manuals.
    remove_tree("$folder/libgloss", "$folder/texinfo", "$folder/etc");
    # Each of its configure scripts waits for a clock that counts in whole seconds.
    find({ no_chdir => 1, wanted => sub {
        return unless m{/configure$} && -f;
        my $text = slurp($_);
        spew($_, $text) if $text =~ s/^sleep 1$/:/mg;
    } }, $folder);
}

sub polarssl {
    my ($folder) = @_;
    my $file = "$folder/library/Makefile";
    my $text = slurp($file);
    # stubdom/grub takes this object by its name.
    $text =~ s/^OBJS=(?:.*\\\n)*.*\bsha1\.o\b(?:.*\\\n)*.*$/OBJS=sha1.o/m or die "$file: no list of objects with sha1.o\n";
    spew($file, $text);
}

my ($what, @args) = @ARGV;
$what eq 'newlib' ? newlib(@args) : $what eq 'polarssl' ? polarssl(@args) : die "trim.pl: nothing is known of $what\n";
