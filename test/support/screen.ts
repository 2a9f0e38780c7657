import { Writable } from 'node:stream';

/** A small terminal: knows lines, wrapping, scrolling, cursor up and erase to the end; colours are passed over. */
export class Screen extends Writable {
  readonly isTTY = true;
  columns: number;
  rows: number;
  /** Lines that were ever shown, scrolled away ones included. */
  readonly lines: string[] = [''];
  /** How often something was written. */
  writes = 0;
  private row = 0;
  private column = 0;

  constructor(columns = 80, rows = 24) {
    super({ decodeStrings: false });
    this.columns = columns;
    this.rows = rows;
  }

  override _write(chunk: string | Buffer, _encoding: string, callback: () => void): void {
    this.writes++;
    for (const part of String(chunk).matchAll(/\p{Cc}\[([\d;]*)([A-Za-z])|([\n\P{Cc}])/gu)) this.take(part[1], part[2], part[3]);
    callback();
  }

  private take(numbers: string | undefined, command: string | undefined, char: string | undefined): void {
    if (command === 'A') {
      // The cursor cannot leave the part of the screen that is shown.
      this.row = Math.max(this.row - Number(numbers || 1), this.lines.length - this.rows, 0);
    } else if (command === 'J') {
      this.lines.length = this.row + 1;
      this.lines[this.row] = (this.lines[this.row] ?? '').slice(0, this.column);
    } else if (char === '\n') this.next();
    else if (char !== undefined) {
      if (this.column === this.columns) this.next();
      const line = this.lines[this.row] ?? '';
      this.lines[this.row] = line.slice(0, this.column) + char + line.slice(this.column + 1);
      this.column++;
    }
  }

  private next(): void {
    this.row++;
    this.column = 0;
    this.lines[this.row] ??= '';
  }

  /** What is shown, without the empty line that the cursor stands on. */
  get text(): string[] {
    return this.lines.at(-1) === '' ? this.lines.slice(0, -1) : this.lines;
  }
}
