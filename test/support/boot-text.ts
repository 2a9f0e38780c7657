import { crcText, MODULE } from '../../src/boot/module.ts';

/** What consoles show at a boot, for tests of what reads them. */

/** The menu of GRUB legacy, as it paints it. */
export const MENU = [
  '\x1b[H\x1b[J\x1b[1;1H\n    GNU GRUB  version 0.97  (65536K lower / 0K upper memory)\n\n',
  '\x1b[4;3H+----+\x1b[5;3H| first |\x1b[6;3H| second |\x1b[7;3H+----+',
  '\x1b[18;7HUse the ^ and v keys to select which entry is highlighted.\n',
  '\x1b[22;1HThe highlighted entry will be booted automatically in 30 seconds.   ',
].join('');

/** What the test guest prints. */
export function guestWords(commandLine: string, module: Uint8Array = MODULE, freight = '0:00000000'): string {
  return `pvgrub-guest: how=[xen-3.0-x86_64] cmdline=[${commandLine}] module=${module.length}:${crcText(module)} freight=${freight}\r\npvgrub-guest: done\r\n`;
}
