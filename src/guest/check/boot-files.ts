import type { Content } from '../disk/identify.ts';
import { configFacts, type KernelFacts, kernelFacts } from '../kernel.ts';
import { contentOf, type GuestFile, type Lookup, type Volume } from '../volume.ts';

/** The files that menus name, looked at once each. Pure. */

/** A kernel is some ten megabytes. */
const MAX_KERNEL = 96 * 2 ** 20;
const MAX_CONFIG = 2 ** 20;

/** Which file is meant, and what is there. */
export interface BootFile {
  /** With its volume: "(hd0)/boot/vmlinuz". */
  name: string;
  volume: Volume;
  found: Lookup;
}

/** Looks up and remembers kernels of one guest. */
export class BootFiles {
  readonly volumes: readonly Volume[];
  private readonly kernels = new Map<string, KernelFacts | undefined>();

  constructor(volumes: readonly Volume[]) {
    this.volumes = volumes;
  }

  /** A file of a volume. */
  at(volume: Volume, path: string): BootFile {
    return { name: `${volume.name}${path}`, volume, found: volume.find(path) };
  }

  /** What a kernel is; undefined where it cannot be read. Its config beside it tells what the kernel itself cannot. */
  kernel({ name, volume, found }: BootFile): KernelFacts | undefined {
    if (!this.kernels.has(name)) this.kernels.set(name, this.look(volume, found));
    return this.kernels.get(name);
  }

  private look(volume: Volume, found: Lookup): KernelFacts | undefined {
    const bytes = contentOf(found, MAX_KERNEL);
    if (bytes === undefined || found.state !== 'found') return undefined;
    const facts = kernelFacts(bytes);
    const version = facts.version ?? /vmlinu[xz]-(.+)$/.exec(found.file.path)?.[1];
    const folder = found.file.path.replace(/\/[^/]*$/, '');
    const config = version === undefined ? undefined : contentOf(volume.find(`${folder}/config-${version}`), MAX_CONFIG);
    // What the kernel itself tells is more than what its config does.
    return config === undefined ? facts : { ...configFacts(config.toString('latin1')), ...facts };
  }

  /** The file system with this UUID. */
  byUuid(uuid: string): Volume | undefined {
    return this.volumes.find(({ content }) => content.uuid?.toLowerCase() === uuid.toLowerCase());
  }
}

/** A file that can be used. */
export function fileOf({ found }: BootFile): GuestFile | undefined {
  return found.state === 'found' && found.file.kind === 'file' ? found.file : undefined;
}

/** File systems whose UUIDs and labels a kernel could look for. */
export function knownTo(volumes: readonly Volume[], key: 'uuid' | 'label', value: string): Content | undefined {
  return volumes.map(({ content }) => content).find((content) => content[key]?.toLowerCase() === value.toLowerCase());
}
