#!/bin/sh
# The main process of a boot test: make the guests' disks and the job disk below /cell, then be QEMU.
# Arguments: accelerator (tcg or kvm), start (saved or cold), MiB of the machine.
# A guest's own disks are in/guest-<n>: a name to read from, or a folder with the pieces that are not all zeros.
# Standard output and input are the guests' console (and dom0's words to the harness), standard error is Xen's console.
set -eu
accelerator=$1
start=$2
memory=$3
cd /cell
sh in/disks.sh >&2 || exit 3
set --
for disk in in/guest-*; do
  [ -e "$disk" ] || break
  if [ -d "$disk" ]; then
    file=$disk.img
    truncate -s "$(cat "$disk/size")" "$file"
    for piece in "$disk"/piece-*; do
      [ -e "$piece" ] || break
      dd if="$piece" of="$file" bs=4M seek="${piece##*-}" conv=notrunc status=none || exit 3
      rm "$piece"
    done
  else
    file=$(cat "$disk")
    # Exit code 4: it must be sent.
    dd if="$file" of=/dev/null bs=512 count=1 status=none || exit 4
  fi
  # What the guest writes goes into a file beside, and away with it.
  set -- "$@" -drive "if=none,id=${disk##*/},file=$file,format=raw,snapshot=on,cache=unsafe,file.locking=off" -device "virtio-blk-pci,drive=${disk##*/}"
done
job=/cell/job.img
truncate -s 8G "$job"
# dom0 mounts it: all files, and a tenth and some for what a file system takes.
size=$(du -s -B 1M job | cut -f1)
mke2fs -q -t ext4 -O ^has_journal,^metadata_csum -E lazy_itable_init=1,nodiscard -m 0 -d job "$job" "$((size + size / 10 + 16))M" >&2 || exit 3
rm -rf job

mkfifo xen.in xen.out
cat xen.out >&2 &
xen_chardev='pipe,id=xen,path=/cell/xen'
guest_chardev='stdio,id=guest,signal=off'
. /kit/run/qemu.sh
if [ "$start" = saved ]; then
  start_qemu -incoming 'exec:cat /state/dom0.state'
else
  start_qemu "$@"
fi
