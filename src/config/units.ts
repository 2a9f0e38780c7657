/** Bytes of a size such as 4096, "512m" or "4g" (powers of 1024). The text's form was checked by the schema. */
export function parseBytes(size: number | string): number {
  if (typeof size === 'number') return size;
  const unit = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 }[size.slice(-1).toLowerCase()];
  return Math.floor(Number.parseFloat(size) * (unit ?? 1));
}

/** Milliseconds of a time such as "90s", "45m" or "2h". The text's form was checked by the schema. */
export function parseDuration(time: string): number {
  const unit = { s: 1000, m: 60_000, h: 3_600_000 }[time.slice(-1)];
  return Math.round(Number.parseFloat(time) * (unit ?? 1000));
}

/** A size for people: 1.5 MB, with powers of 1000. */
export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  // The limits are where rounding would give a digit more.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : value.toFixed(0)} ${units[unit]}`;
}

/** A time span for people: 0.4 s, 42 s, 3 min 05 s. */
export function formatDuration(milliseconds: number): string {
  const seconds = milliseconds / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
}
