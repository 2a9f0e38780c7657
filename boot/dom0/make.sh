#!/bin/sh
# Make what QEMU starts, in a folder: dom0's kernel (vmlinux) and initramfs (dom0.cpio), from Debian packages that are
# unpacked but not installed; bzImage is the same kernel as guests have it; `packages` names every package used.
set -eu
kit=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
root=$work/root
mkdir -p "$kit" "$work/deb" "$root/bin" "$root/lib" "$root/modules" "$work/system"

cd "$work/deb"
kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
apt-get download "$kernel" busybox-static kmod xen-utils-4.17 xenstore-utils \
  libxenmisc4.17 libxentoolcore1 libxentoollog1 libxencall1 libxendevicemodel1 libxenevtchn1 libxenforeignmemory1 \
  libxengnttab1 libxenhypfs1 libxenstore4 libyajl2 libuuid1 zlib1g liblzma5 libzstd1 libbz2-1.0 liblzo2-2 libc6 libgcc-s1 libfdt1 libnl-3-200 libnl-route-3-200
for deb in *.deb; do
  dpkg-deb -x "$deb" "$work/system"
  dpkg-deb -W --showformat '${Package}:${Architecture}=${Version}\n' "$deb"
done > "$work/unpacked"
{ cat "$work/unpacked"; dpkg-query -W -f '${Package}:${Architecture}=${Version}\n'; } | LC_ALL=C sort -u > "$kit/packages"

# The kernel as an ELF file: unpacking xz within Xen takes seconds under emulation.
version=$(ls "$work/system/lib/modules")
cp "$work/system/boot/vmlinuz-$version" "$kit/bzImage"
python3 "$here/vmlinux.py" "$kit/bzImage" "$kit/vmlinux"
echo "$version" > "$kit/linux-version"

# Modules in the order in which they must be loaded.
depmod -b "$work/system" "$version"
for module in xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs xen-blkback loop virtio_pci virtio_blk ext4; do
  modprobe --show-depends --ignore-install -d "$work/system" -S "$version" "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' > "$work/modules"
n=100
while read -r file; do
  n=$((n + 1))
  cp "$file" "$root/modules/$n-$(basename "$file")"
done < "$work/modules"

# Programs of the toolstack and the libraries that they load.
cp "$work/system/bin/busybox" "$root/bin/busybox"
xen=$work/system/usr/lib/xen-4.17
libraries=$work/system/usr/lib/x86_64-linux-gnu:$work/system/lib/x86_64-linux-gnu:$xen/lib/x86_64-linux-gnu
for name in xl xenstored xenconsoled xenconsole libxl-save-helper xen-init-dom0 xenstore-list xenstore-read xenstore-write; do
  file=$(find "$xen" "$work/system/usr/bin" "$work/system/usr/sbin" -name "$name" -type f -perm -1 | head -n 1)
  [ -n "$file" ] || { echo "no $name in Debian's packages" >&2; exit 1; }
  mkdir -p "$root/usr/lib/xen-4.17/bin"
  cp "$file" "$root/usr/lib/xen-4.17/bin/$name"
  LD_LIBRARY_PATH=$libraries ldd "$file" | awk '$2 == "=>" && $3 ~ "^/" { print $3 } $1 ~ "^/.*ld-linux" { print $1 }'
done | sort -u > "$work/libraries"
# libc loads it when a thread is cancelled, which xl does.
find "$work/system" -name libgcc_s.so.1 >> "$work/libraries"
while read -r file; do cp -L "$file" "$root/lib/"; done < "$work/libraries"
mkdir -p "$root/lib64" "$root/etc/xen/scripts" "$root/dev" "$root/proc" "$root/sys" "$root/run" "$root/tmp" "$root/var/log/xen/console" "$root/var/lib/xen" "$root/job"
mv "$root/lib/ld-linux-x86-64.so.2" "$root/lib64/"
install -m 755 "$here/init" "$root/init"
install -m 755 "$here/block" "$root/etc/xen/scripts/block"
cp "$here/xl.conf" "$root/etc/xen/xl.conf"
(cd "$root" && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet -o -H newc -R 0:0) > "$kit/dom0.cpio"

# What a real Linux guest starts with: it says that it is there.
mkdir -p "$work/guest/bin" "$work/guest/dev"
cp "$work/system/bin/busybox" "$work/guest/bin/"
install -m 755 "$here/linux-guest" "$work/guest/init"
(cd "$work/guest" && find . -print0 | LC_ALL=C sort -z | cpio --null --quiet -o -H newc -R 0:0) | gzip -n9 > "$kit/linux-initrd"
rm -rf "$work"
