/* The test guest: what it shares between its ways of being started. */
#ifndef GUEST_H
#define GUEST_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef unsigned long word;

/* The shared page of a PV console: xen/include/public/io/console.h. */
struct console {
  char in[1024];
  char out[2048];
  u32 in_cons, in_prod, out_cons, out_prod;
};

/* What a way of being started found out. */
struct given {
  const char *how;            /* start_info's magic, or how else the guest was started */
  const char *command_line;
  const u8 *module;
  word module_length;
  volatile struct console *console;
  u32 console_port;           /* its event channel */
};

long hypercall(u32 number, word a, word b, word c, word d);

/* Say what was given on the console and power off; never comes back. */
void report(const struct given *given) __attribute__((noreturn));

#endif
