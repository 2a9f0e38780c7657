/* A bzImage of one setup sector: the header of the Linux boot protocol, 2.10, then the 32-bit code at 1 MiB. */
  .code32
  .section .setup, "ax"
setup:
  .org setup + 0x1f1
  .byte 1                   /* setup_sects */
  .word 0
  .long payload_size_16     /* syssize, in 16 bytes */
  .word 0, 0, 0
  .word 0xaa55
  .byte 0xeb, 0x66          /* jump over the header */
  .ascii "HdrS"
  .word 0x020a
  .long 0
  .word 0, 0
  .byte 0, 1                /* loadflags: loaded high */
  .word 0
  .long 0x100000            /* code32_start */
  .long 0, 0                /* ramdisk_image, ramdisk_size */
  .long 0
  .word 0                   /* heap_end_ptr */
  .byte 0, 0
  .long 0                   /* cmd_line_ptr */
  .long 0x37ffffff          /* initrd_addr_max */
  .long 0x1000              /* kernel_alignment */
  .byte 0, 12               /* not relocatable */
  .word 0
  .long 1023                /* cmdline_size */
  .long 0
  .quad 0
  .long 0, 0                /* payload_offset, payload_length */
  .quad 0
  .quad 0x100000            /* pref_address */
  .long init_size
  .org setup + 1024

  .section .text.head, "ax"
  .globl _start
_start:
  cld
  movl $stack_end, %esp
  pushl %esi
  call start
  ud2

  .bss
  .balign 16
  .skip 16384
stack_end:
  .section .note.GNU-stack, "", @progbits
