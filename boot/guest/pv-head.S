/* Entry of the PV guest, its hypercall page and Xen's notes (xen/include/public/elfnote.h). */
#ifdef __x86_64__
# define WORD .quad
# define BASE 0xffffffff80000000
#else
# define WORD .long
# define BASE 0xc0000000
#endif

  .section .text.head, "ax"
  .globl _start, hypercall_page
_start:
  cld
#ifdef __x86_64__
  leaq stack_end(%rip), %rsp
  movq %rsi, %rdi
  xorl %ebp, %ebp
  call start
#else
  movl $stack_end, %esp
  pushl %esi
  call start
#endif
  ud2

  .balign 4096
hypercall_page:
  .skip 4096

  .bss
  .balign 16
  .skip 16384
stack_end:

  .macro note type:req, size:req
  .balign 4
  .long 4, \size, \type
  .asciz "Xen"
  .endm
  .macro note_text type:req, text:req
  note \type, 9f-8f
8:
  .asciz "\text"
9:
  .balign 4
  .endm
  .macro note_word type:req, value:req
  note \type, 9f-8f
8:
  WORD \value
9:
  .balign 4
  .endm

  .section .note.Xen, "a", @note
  note_text 6, "pvgrub-guest"
  note_text 5, "xen-3.0"
  note_text 8, "generic"
  note_text 9, "yes"
  note_word 3, BASE
  note_word 4, BASE
  note_word 1, _start
  note_word 2, hypercall_page

  .section .note.GNU-stack, "", @progbits
