import type { PutFile } from '../engine/archive.ts';
import { makeDisk } from './disk.ts';
import { MODULE } from './module.ts';
import type { BootCase, BootSubject, GuestDisk } from './types.ts';

/** One case of one image, with its place in the job. */
export interface JobCase {
  /** Three digits: the order, and the name of its folder. */
  id: string;
  /** Seconds. */
  limit: number;
  subject: BootSubject;
  bootCase: BootCase;
}

/** The domain's configuration (xl.cfg(5)). Paths are those of the job disk in dom0. */
export function domainConfig(id: string, image: string, { bootCase, subject }: Pick<JobCase, 'bootCase' | 'subject'>): string {
  return [
    'name = "guest"',
    `type = "${subject.arch === 'x86_32_pvh' ? 'pvh' : 'pv'}"`,
    `kernel = "/job/${image}"`,
    `extra = "${bootCase.extra}"`,
    `memory = ${bootCase.memory}`,
    `disk = ["phy:/job/${id}/disk.img,xvda,w"]`,
    ...['on_poweroff', 'on_reboot', 'on_crash'].map((event) => `${event} = "destroy"`),
    '',
  ].join('\n');
}

/** Runs in dom0 beside a case with `stress`: watch events for the guest's disk driver, as fast as xenstore takes them. */
const STRESS = `until id=$(xl domid guest 2> /dev/null); do usleep 20000; done
path=/local/domain/0/backend/vbd/$id/51712/state
until [ "$(xenstore-read $path 2> /dev/null)" = 4 ]; do usleep 20000; done
n=0
while xenstore-write ${'$path 4 '.repeat(16)}; do n=$((n + 16)); echo $n > /run/stress; done
`;

/** A disk that has the image on it has room for it. */
function roomFor(disk: GuestDisk, image: number): GuestDisk {
  const images = Object.values(disk.files).filter((file) => 'put' in file && file.put === 'image').length;
  return { ...disk, size: disk.size + images * Math.ceil(image / 2 ** 20) };
}

/** The ids of a job's cases: every image's cases, in order. */
export function jobCases(subjects: readonly BootSubject[]): JobCase[] {
  const all = subjects.flatMap((subject) => subject.cases.map((bootCase) => ({ subject, bootCase })));
  return all.map((entry, i) => ({ ...entry, id: String(i + 1).padStart(3, '0'), limit: entry.bootCase.limit }));
}

/**
 * The files of a boot job, below /cell of its container: images, what disks are made of, and the script that makes
 * them and the job disk's content (below `job/`: a folder for each case, and the secret that dom0's words begin with).
 */
export function jobFiles(cases: readonly JobCase[], nonce: string): PutFile[] {
  const images = [...new Set(cases.map(({ subject }) => subject))];
  const imageName = (subject: BootSubject) => `image-${images.indexOf(subject)}`;
  const files: PutFile[] = images.map((subject) => ({ name: `in/${imageName(subject)}`, content: subject.image }));
  files.push({ name: 'in/module', content: MODULE }, { name: 'in/nonce', content: Buffer.from(nonce) });
  const lines = ['set -eu', 'mkdir job', 'cp in/nonce in/image-* job/'];
  for (const entry of cases) {
    const { id, subject, bootCase } = entry;
    const image = imageName(subject);
    const put = (name: string, text: string) => files.push({ name: `in/${id}/${name}`, content: Buffer.from(text) });
    put('domain.cfg', domainConfig(id, image, entry));
    put('limit', String(bootCase.limit));
    if (bootCase.stress) put('stress', STRESS);
    const disk = makeDisk(roomFor(bootCase.disk, subject.image.length), id, subject.arch, `in/${image}`, `job/${id}/disk.img`);
    files.push(...disk.files);
    lines.push(
      `mkdir job/${id}`,
      `cp in/${id}/domain.cfg in/${id}/limit ${bootCase.stress ? `in/${id}/stress ` : ''}job/${id}/`,
      ...disk.lines,
    );
  }
  files.push({ name: 'in/disks.sh', content: Buffer.from(`${lines.join('\n')}\n`) });
  return files;
}
