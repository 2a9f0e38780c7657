/* The test guest as a PV kernel of either width: the domain builder's start_info (xen/include/public/xen.h). */
#include "guest.h"

struct start_info {
  char magic[32];
  word nr_pages;
  word shared_info;
  u32 flags;
  word store_mfn;
  u32 store_evtchn;
  word console_mfn;
  u32 console_evtchn;
  word pt_base;
  word nr_pt_frames;
  word mfn_list;
  word mod_start;
  word mod_len;
  char cmd_line[1024];
};

enum { UPDATE_VA_MAPPING = 14, UVMF_INVLPG = 2, PRESENT_WRITABLE_DIRTY = 0x67 };

/* Taken for the console's page: its address is ours, its frame is exchanged. */
static u8 window[4096] __attribute__((aligned(4096)));

void start(const struct start_info *info) {
#ifdef __x86_64__
  hypercall(UPDATE_VA_MAPPING, (word)window, info->console_mfn << 12 | PRESENT_WRITABLE_DIRTY, UVMF_INVLPG, 0);
#else
  hypercall(UPDATE_VA_MAPPING, (word)window, info->console_mfn << 12 | PRESENT_WRITABLE_DIRTY, info->console_mfn >> 20, UVMF_INVLPG);
#endif
  struct given given = {
    .how = info->magic,
    .command_line = info->cmd_line,
    .module = (const u8 *)info->mod_start,
    .module_length = info->mod_len,
    .console = (volatile struct console *)window,
    .console_port = info->console_evtchn,
  };
  report(&given);
}
