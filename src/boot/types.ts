import type { Arch } from '../recipes/types.ts';

/** What is put on a guest's disk: the test guest (plain, packed, with a large freight), its module, the image itself, Debian's Linux (as packaged, or unpacked and packed with gzip). */
export type Put = 'kernel' | 'kernel.gz' | 'large' | 'module' | 'image' | 'linux' | 'linux.gz' | 'linux-initrd';

/** A guest's disk: how it is laid out and made, and what is on it. */
export interface GuestDisk {
  /** Whole disk, or a partition table with one partition at 1 MiB. */
  table: 'none' | 'mbr';
  /** The command that makes the file system, without the file: its last option takes the folder with the content. */
  make: string;
  /** Size of the file system in MiB. */
  size: number;
  /** Files by path on the disk: text, the test guest's kernel in one of its forms, the module, or the image itself. */
  files: Record<string, { text: string } | { put: Put }>;
}

/** What is to happen. */
export type Expectation =
  | { outcome: 'boots'; commandLine: string }
  /** Not every build of this loader can: where it cannot, that is told, and no failure. */
  | { outcome: 'may-boot'; commandLine: string }
  /** A file system that this loader is known not to read: its prompt, and no menu. */
  | { outcome: 'prompt' }
  /** A real Linux: its first program's word, with the command line in it. */
  | { outcome: 'linux'; commandLine: string };

/** One boot of an image: the guest's disk, what the user does, what is to happen. Pure data. */
export interface BootCase {
  name: string;
  /** For people: what is tried. */
  what: string;
  disk: GuestDisk;
  /** The domain's `extra`. */
  extra: string;
  /** What is done at the menu: nothing (the entry's time runs out), return, or the second entry. */
  keys: 'none' | 'return' | 'second';
  /** MiB. */
  memory: number;
  /** Seconds from the domain's start to the verdict, at the most, without KVM. */
  limit: number;
  /** Events come in all the while. */
  stress?: boolean;
  expect: Expectation;
}

/** An image to boot. */
export interface BootSubject {
  /** A cell's id, or a file's name. */
  id: string;
  image: Uint8Array;
  arch: Arch;
  cases: BootCase[];
}

/** What the test guest said. */
export interface GuestReport {
  how: string;
  commandLine: string;
  module: { size: number; crc: string };
  freight: { size: number; crc: string };
}

/** What came of one case. */
export interface CaseResult {
  name: string;
  what: string;
  ok: boolean;
  /** One line: what happened; where it is not ok, also what should have. */
  said: string;
  /** Seconds from the domain's start. */
  menu?: number;
  guest?: number;
  /** What Xen and xl said of it, line by line. */
  diagnosis: string[];
  /** The guest's console, without control sequences. */
  console: string;
}

/** What came of an image, and where it was booted. */
export interface BootReport {
  id: string;
  ok: boolean;
  cases: CaseResult[];
  environment: BootEnvironment;
}

/** Where images were booted. */
export interface BootEnvironment {
  hypervisor: string;
  qemu: string;
  dom0: string;
  accelerator: 'tcg' | 'kvm';
  /** From a saved state of the machine, or from its power-on. */
  start: 'saved' | 'cold';
  /** SHA-256 over the boot image's recipe and packages. */
  bootImage: string;
}
