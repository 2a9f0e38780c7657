/**
 * What a grub.cfg of GRUB 2 boots, as far as that can be told without running it: menu entries with their kernels and
 * initial RAM disks. Its language has variables, functions and conditions; a path with a variable in it is left open. Pure.
 */

/** One entry. */
export interface Grub2Entry {
  title: string;
  line: number;
  /** The kernel as it is named; undefined where none is. */
  kernel?: { path: string; args: string; line: number };
  initrds: { path: string; line: number }[];
  /** UUIDs that the entry looks for file systems by. */
  search: string[];
}

/** A grub.cfg, as far as it was read. */
export interface Grub2Config {
  entries: Grub2Entry[];
  /** It takes entries from elsewhere (blscfg, configfile, source), which is not followed. */
  elsewhere: string[];
  timeout?: number;
}

const MAX = 2 * 2 ** 20;
/** More words than these are no files of one entry. */
const MAX_WORDS = 100;

interface Command {
  words: string[];
  line: number;
}

const escaped = { n: '\n', t: '\t' } as Record<string, string>;

/**
 * Commands of a script, word by word (GRUB manual, "Writing full configuration files directly"): quotes, escapes,
 * comments, ";" and line ends; "{" and "}" as commands of their own.
 */
function commands(text: string): Command[] {
  const found: Command[] = [];
  let words: string[] = [];
  let word: string | undefined;
  let line = 1;
  let begun = 1;
  const endWord = () => {
    if (word !== undefined) words.push(word);
    word = undefined;
  };
  const end = () => {
    endWord();
    if (words.length > 0) found.push({ words, line: begun });
    words = [];
  };
  const add = (part: string) => {
    if (words.length === 0 && word === undefined) begun = line;
    word = (word ?? '') + part;
  };
  for (let i = 0; i < text.length; i++) {
    const c = text[i] as string;
    if (c === '\n') {
      end();
      line++;
    } else if (c === '\\') {
      const next = text[++i];
      if (next === '\n') line++;
      else if (next !== undefined) add(next);
    } else if (c === "'" || c === '"') {
      add('');
      for (i++; i < text.length && text[i] !== c; i++) {
        if (text[i] === '\n') line++;
        if (c === '"' && text[i] === '\\' && i + 1 < text.length) {
          const next = text[++i] as string;
          add(escaped[next] ?? next);
        } else add(text[i] as string);
      }
    } else if (c === '#' && word === undefined) {
      while (i + 1 < text.length && text[i + 1] !== '\n') i++;
    } else if (c === ';') end();
    else if ((c === '{' || c === '}') && word === undefined) {
      end();
      found.push({ words: [c], line });
    } else if (/\s/.test(c)) endWord();
    else add(c);
  }
  end();
  return found;
}

const KERNELS = new Set(['linux', 'linux16', 'linuxefi']);
const INITRDS = new Set(['initrd', 'initrd16', 'initrdefi']);
const ELSEWHERE = new Set(['blscfg', 'configfile', 'source', 'legacy_configfile', '.']);

/** Read a grub.cfg. Nothing in it is an error here. */
export function parseGrub2Config(text: string): Grub2Config {
  const config: Grub2Config = { entries: [], elsewhere: [] };
  // Blocks that are open: an entry's, or another (function, submenu).
  const open: (Grub2Entry | undefined)[] = [];
  let next: Grub2Entry | undefined;
  let menus = false;
  for (const { words, line } of commands(text.slice(0, MAX))) {
    const [name = '', ...args] = words;
    if (name === '{') {
      open.push(next ?? (menus ? undefined : open.at(-1)));
      next = undefined;
      menus = false;
      continue;
    }
    if (name === '}') {
      open.pop();
      continue;
    }
    if (name === 'menuentry') {
      next = { title: args[0] ?? '', line, initrds: [], search: [] };
      config.entries.push(next);
      continue;
    }
    if (name === 'submenu' || name === 'function') {
      menus = true;
      continue;
    }
    if (name === 'set' && args[0]?.startsWith('timeout=')) {
      const seconds = Number(args[0].slice('timeout='.length));
      if (Number.isInteger(seconds)) config.timeout = seconds;
    }
    const entry = open.at(-1);
    if (ELSEWHERE.has(name)) config.elsewhere.push(words.join(' '));
    if (!entry) continue;
    if (KERNELS.has(name) && args[0] !== undefined) entry.kernel = { path: args[0], args: args.slice(1).join(' '), line };
    if (INITRDS.has(name)) entry.initrds.push(...args.slice(0, MAX_WORDS).map((path) => ({ path, line })));
    if (name === 'search') entry.search.push(...args.slice(0, MAX_WORDS).filter((word) => /^[0-9A-Fa-f]{4,}-[0-9A-Fa-f-]+$/.test(word)));
  }
  return config;
}
