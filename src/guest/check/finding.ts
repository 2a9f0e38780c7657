/** What a check found. */
export interface Finding {
  /** An error keeps the guest from booting; a warning may, or misleads. */
  level: 'error' | 'warning';
  /** "(hd0,0)/boot/grub/menu.lst:12", or a volume. */
  where: string;
  what: string;
  /** What to do about it. */
  hint?: string;
}
