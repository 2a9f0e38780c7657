# QEMU with Xen and dom0 as every boot test has them. Sourced.
# The caller sets: accelerator (tcg or kvm), job (the disk's file), and as chardevs xen_chardev (id=xen, the hypervisor's
# serial port) and guest_chardev (id=guest, the guests').
case $accelerator in
  tcg) machine='-accel tcg,tb-size=64 -cpu qemu64,+rdrand,+svm,+npt' ;;
  kvm) machine='-accel kvm -cpu host' ;;
esac
xen='console=com1 com1=115200,8n1 dom0_mem=160M,max:160M dom0_max_vcpus=1 loglvl=warning guest_loglvl=info pv=32 spec-ctrl=no xpti=no smt=1 watchdog=0'
linux='console=hvc0 earlyprintk=xen quiet loglevel=4 panic=-1 swiotlb=1024 rodata=off cryptomgr.notests lsm=capability mitigations=off nokaslr init_on_alloc=0 nowatchdog'
start_qemu() {
  # shellcheck disable=SC2086
  qemu-system-x86_64 -nodefaults -no-user-config -display none -net none -machine pc $machine -m "${memory:-512}" -smp 1 -no-reboot \
    -kernel /kit/xen -append "$xen" -initrd "/kit/vmlinux $linux,/kit/dom0.cpio" \
    -chardev "$xen_chardev" -serial chardev:xen -chardev "$guest_chardev" -serial chardev:guest \
    -drive "if=none,id=job,file=$job,format=raw,cache=unsafe,file.locking=off" -device virtio-blk-pci,drive=job \
    "$@"
}
