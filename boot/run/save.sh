#!/bin/sh
# Start dom0 under emulation, wait until it is ready, and save the machine's state in a folder.
set -eu
folder=$1
work=$(mktemp -d)
cd "$work"
job=$work/job.img
truncate -s 8G "$job"
xen_chardev="file,id=xen,path=$work/xen.log"
guest_chardev="file,id=guest,path=$work/guest.log"
accelerator=tcg
. /kit/run/qemu.sh
mkfifo monitor
start_qemu -monitor stdio < monitor > monitor.log 2>&1 &
pid=$!
exec 3> monitor
n=0
until grep -q ready guest.log 2>/dev/null; do
  n=$((n + 1))
  if [ $n -gt 1200 ] || ! kill -0 $pid; then
    cat xen.log monitor.log >&2
    kill $pid
    exit 1
  fi
  sleep 0.2
done
# Quiet for a moment: nothing of the start is still on its way.
sleep 1
echo "migrate \"exec:cat > $folder/dom0.state\"" >&3
echo "info migrate" >&3
echo quit >&3
wait $pid
grep -q "status: completed" monitor.log || { cat monitor.log >&2; exit 1; }
ls -l "$folder"
cd / && rm -rf "$work"
