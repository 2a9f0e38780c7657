/** Members of archives that lie anywhere in a file: ar (`ar -t`) and tar (POSIX ustar). Pure. */

/** A member of an archive, as its header has it. */
export interface Member {
  archive: 'ar' | 'tar';
  name: string;
  /** Seconds since 1970. */
  mtime: number;
  uid: number;
  gid: number;
  mode: number;
}

const AR_MAGIC = '!<arch>\n';
/** An image has some hundreds. */
const MOST = 20_000;

/** All members of all archives that begin anywhere in these bytes, in their order. Damaged ones end their archive. */
export function archiveMembers(bytes: Uint8Array): Member[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return [...arMembers(buffer), ...tarMembers(buffer)];
}

function arMembers(buffer: Buffer): Member[] {
  const members: Member[] = [];
  let behind = 0;
  for (let magic = buffer.indexOf(AR_MAGIC); magic >= 0; magic = buffer.indexOf(AR_MAGIC, behind)) {
    behind = magic + AR_MAGIC.length;
    for (let at = behind; members.length < MOST && at + 60 <= buffer.length && buffer.toString('latin1', at + 58, at + 60) === '`\n'; ) {
      behind = at;
      const field = (from: number, to: number) => buffer.toString('latin1', at + from, at + to).trim();
      const size = Number(field(48, 58));
      if (!Number.isSafeInteger(size) || size < 0) break;
      members.push({
        archive: 'ar',
        // GNU ends a name with a slash; the tables of symbols and of long names are called "/" and "//".
        name: field(0, 16).replace(/(?<=[^/])\/$/, ''),
        mtime: Number(field(16, 28)),
        uid: Number(field(28, 34)),
        gid: Number(field(34, 40)),
        mode: Number.parseInt(field(40, 48) || '0', 8),
      });
      at += 60 + size + (size & 1);
    }
  }
  return members;
}

/** Where the magic is in a tar header of 512 bytes, and its sum. */
const USTAR = 257;
const SUM = 148;

function tarMembers(buffer: Buffer): Member[] {
  const members: Member[] = [];
  let summed = 0;
  for (let magic = buffer.indexOf('ustar'); magic >= 0 && members.length < MOST; magic = buffer.indexOf('ustar', magic + 1)) {
    const header = buffer.subarray(magic - USTAR, magic - USTAR + 512);
    if (magic < USTAR || header.length < 512) continue;
    const octal = (from: number, length: number) =>
      Number.parseInt(header.toString('latin1', from, from + length).replace(/[\0 ].*$/s, ''), 8);
    // Most places with that word are no header, and tell it here, before everything is summed up.
    if (!/^ *[0-7]{4,7}[\0 ]/.test(header.toString('latin1', SUM, SUM + 8))) continue;
    if (++summed > 2 * MOST) break;
    const sum = header.reduce((total, byte, i) => total + (i >= SUM && i < SUM + 8 ? 32 : byte), 0);
    if (sum !== octal(SUM, 8)) continue;
    const text = (from: number, length: number) => header.toString('latin1', from, from + length).replace(/\0.*$/s, '');
    members.push({
      archive: 'tar',
      name: text(0, 100),
      mtime: octal(136, 12),
      uid: octal(108, 8),
      gid: octal(116, 8),
      mode: octal(100, 8),
    });
  }
  return members;
}
