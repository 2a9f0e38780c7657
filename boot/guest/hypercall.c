/* Calls through the hypercall page: 32 bytes a call, arguments in registers (xen/include/public/arch-x86/xen-x86_*.h). */
#include "guest.h"

extern u8 hypercall_page[];

#ifdef __x86_64__
long hypercall(u32 number, word a, word b, word c, word d) {
  register word fourth __asm__("r10") = d;
  long result;
  __asm__ volatile("call *%[entry]"
                   : "=a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(fourth)
                   : [entry] "r"(hypercall_page + number * 32)
                   : "rcx", "r8", "r9", "r11", "memory");
  return result;
}
#else
long hypercall(u32 number, word a, word b, word c, word d) {
  long result = (long)(hypercall_page + number * 32);
  __asm__ volatile("call *%%eax" : "+a"(result), "+b"(a), "+c"(b), "+d"(c), "+S"(d) : : "memory");
  return result;
}
#endif
