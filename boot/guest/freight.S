/* Bytes that only have to be read: the file FREIGHT, where it is named. */
  .section .rodata
  .globl freight, freight_end
freight:
#ifdef FREIGHT
  .incbin FREIGHT
#endif
freight_end:
  .section .note.GNU-stack, "", @progbits
