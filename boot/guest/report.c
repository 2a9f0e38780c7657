/*
 * What the test guest says: how it was started, its command line, and checksums over all that the loader read for it,
 * so that a loader that damages what it reads is caught. Then it powers off.
 */
#include "guest.h"

/* Hypercalls and their operations: xen/include/public/{xen,sched,event_channel}.h. */
enum { SCHED_OP = 29, EVTCHN_OP = 32 };
enum { SCHED_YIELD = 0, SCHED_SHUTDOWN = 2, EVTCHN_SEND = 4 };

static const struct given *it;

static void notify(void) {
  u32 port = it->console_port;
  hypercall(EVTCHN_OP, EVTCHN_SEND, (word)&port, 0, 0);
}

static void put(char c) {
  volatile struct console *ring = it->console;
  while (ring->out_prod - ring->out_cons == sizeof ring->out) {
    notify();
    hypercall(SCHED_OP, SCHED_YIELD, 0, 0, 0);
  }
  ring->out[ring->out_prod % sizeof ring->out] = c;
  __asm__ volatile("" ::: "memory");
  ring->out_prod++;
}

static void say(const char *text) {
  while (*text) put(*text++);
}

/* Text of any bytes: what is not printable, and what ends the value, as \xx. */
static void quoted(const char *text, word length) {
  static const char digits[] = "0123456789abcdef";
  for (word i = 0; i < length; i++) {
    u8 c = (u8)text[i];
    if (c >= ' ' && c < 0x7f && c != '\\' && c != ']') put((char)c);
    else put('\\'), put(digits[c >> 4]), put(digits[c & 15]);
  }
}

static void number(word value) {
  char text[24];
  int at = sizeof text;
  text[--at] = 0;
  do text[--at] = (char)('0' + value % 10), value /= 10;
  while (value);
  say(text + at);
}

static void hex(u32 value) {
  for (int shift = 28; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15]);
}

/* CRC-32 as in gzip (RFC 1952). */
static u32 crc32(const u8 *bytes, word length) {
  static u32 table[256];
  for (u32 n = 0; n < 256; n++) {
    u32 c = n;
    for (int bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320u ^ c >> 1 : c >> 1;
    table[n] = c;
  }
  u32 crc = 0xffffffffu;
  for (word i = 0; i < length; i++) crc = table[(crc ^ bytes[i]) & 0xff] ^ crc >> 8;
  return ~crc;
}

static word length_of(const char *text, word limit) {
  word length = 0;
  while (length < limit && text[length]) length++;
  return length;
}

/* The freight that makes a large kernel large: between these marks, or nothing. */
extern const u8 freight[], freight_end[];

void report(const struct given *given) {
  it = given;
  say("pvgrub-guest: how=[");
  quoted(given->how, length_of(given->how, 32));
  say("] cmdline=[");
  quoted(given->command_line, length_of(given->command_line, 1024));
  say("] module=");
  number(given->module_length);
  put(':');
  hex(crc32(given->module, given->module_length));
  say(" freight=");
  number((word)(freight_end - freight));
  put(':');
  hex(crc32(freight, (word)(freight_end - freight)));
  say("\r\npvgrub-guest: done\r\n");
  notify();
  /* The console daemon must have it all before the domain goes. */
  while (given->console->out_cons != given->console->out_prod) hypercall(SCHED_OP, SCHED_YIELD, 0, 0, 0);
  u32 poweroff = 0;
  for (;;) hypercall(SCHED_OP, SCHED_SHUTDOWN, (word)&poweroff, 0, 0);
}
