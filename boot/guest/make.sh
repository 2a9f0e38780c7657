#!/bin/sh
# Compile the test guests into a folder: guest-<arch>, and large-<arch> with a freight of 12 MiB.
set -eu
out=$1
cd "$(dirname "$0")"
flags='-Os -ffreestanding -fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none -mgeneral-regs-only -Wall -Wextra -Werror -std=gnu11'
work=$(mktemp -d)
# Noise that no compression shrinks to nothing, the same each time (Park and Miller's generator): 12 MiB.
awk 'BEGIN { x = 1; for (i = 0; i < 49152; i++) { line = ""; for (j = 0; j < 64; j++) { x = x * 16807 % 2147483647; line = line sprintf("%c", 33 + x % 90) } printf "%s", line } }' > "$work/part"
for i in 1 2 3 4; do cat "$work/part"; done > "$work/freight"

build() { # name, arch, more compiler flags
  case $2 in
    x86_64) width='-m64 -mno-red-zone -mcmodel=kernel'; base=0xffffffff80000000; emulation=elf_x86_64 ;;
    *) width='-m32 -march=i686'; base=0xc0000000; emulation=elf_i386 ;;
  esac
  kind=pv
  [ "$2" = x86_32_pvh ] && kind=pvh
  objects=
  for source in $kind-head.S $kind.c hypercall.c report.c freight.S; do
    gcc $width $flags $3 -c "$source" -o "$work/$source.o"
    objects="$objects $work/$source.o"
  done
  if [ $kind = pv ]; then ld -m $emulation -z max-page-size=4096 --defsym BASE=$base -T link.ld -o "$out/$1-$2" $objects
  else
    ld -m $emulation -T link-pvh.ld -o "$work/pvh.elf" $objects
    objcopy -O binary -j .setup -j .all --change-section-lma .all=1024 "$work/pvh.elf" "$out/$1-$2"
  fi
}

mkdir -p "$out"
for arch in x86_64 x86_32 x86_32_pvh; do
  build guest $arch ''
  build large $arch "-DFREIGHT=\"$work/freight\""
done
rm -rf "$work"
