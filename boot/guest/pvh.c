/*
 * The test guest as GRUB's `linux` starts it in a PVH domain: the 32-bit Linux boot protocol
 * (Linux Documentation/arch/x86/boot.rst), flat memory, hypercalls through a page that an MSR sets up.
 */
#include "guest.h"

enum { HVM_OP = 34, HVMOP_GET_PARAM = 1, PARAM_CONSOLE_PFN = 17, PARAM_CONSOLE_EVTCHN = 18, DOMID_SELF = 0x7ff0 };

u8 hypercall_page[4096] __attribute__((aligned(4096)));

static void cpuid(u32 leaf, u32 *a, u32 *b, u32 *c, u32 *d) {
  __asm__ volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "a"(leaf), "c"(0));
}

/* Xen's leaves begin at a multiple of 0x100 from 0x40000000 (xen/include/public/arch-x86/cpuid.h). */
static void set_up_hypercalls(void) {
  u32 a, b, c, d;
  for (u32 base = 0x40000000; base < 0x40010000; base += 0x100) {
    cpuid(base, &a, &b, &c, &d);
    if (b != 0x566e6558 || c != 0x65584d4d || d != 0x4d4d566e) continue;
    cpuid(base + 2, &a, &b, &c, &d);
    __asm__ volatile("wrmsr" ::"c"(b), "a"((u32)hypercall_page), "d"(0) : "memory");
    return;
  }
  for (;;) __asm__ volatile("ud2");
}

static u64 parameter(u32 index) {
  struct {
    u16 domain, pad;
    u32 index;
    u64 value;
  } question = {DOMID_SELF, 0, index, 0};
  hypercall(HVM_OP, HVMOP_GET_PARAM, (word)&question, 0, 0);
  return question.value;
}

void start(const u8 *parameters) {
  set_up_hypercalls();
  struct given given = {
    .how = "linux-boot-protocol-pvh",
    .command_line = (const char *)*(const u32 *)(parameters + 0x228),
    .module = (const u8 *)*(const u32 *)(parameters + 0x218),
    .module_length = *(const u32 *)(parameters + 0x21c),
    .console = (volatile struct console *)((u32)parameter(PARAM_CONSOLE_PFN) << 12),
    .console_port = (u32)parameter(PARAM_CONSOLE_EVTCHN),
  };
  report(&given);
}
