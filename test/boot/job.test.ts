import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { casesFor, stressCase } from '../../src/boot/cases.ts';
import { jobCases, jobFiles } from '../../src/boot/job.ts';
import { bootFaults, bootLog, bootMetadata } from '../../src/boot/report.ts';
import type { BootReport, BootSubject, CaseResult } from '../../src/boot/types.ts';

const kinds = [
  { loader: 'pv-grub', arch: 'x86_64', version: '4.17.5' },
  { loader: 'pvgrub2', arch: 'x86_32_pvh', version: '2.14' },
] as const;
const subjects: BootSubject[] = kinds.map((kind, i) => ({
  id: `image ${i}`,
  image: Buffer.from(`image ${i}`),
  arch: kind.arch,
  cases: [...casesFor(kind), stressCase(kind)],
}));

describe('a job for the boot container', () => {
  const cases = jobCases(subjects);
  const files = new Map(jobFiles(cases, 'secret').map(({ name, content }) => [name, String(content)]));
  const file = (name: string) => files.get(name) ?? '';

  test('has each image once, and each case under a number of its own', () => {
    expect([...files.keys()].filter((name) => name.startsWith('in/image-'))).toEqual(['in/image-0', 'in/image-1']);
    expect(cases.map(({ id }) => id)).toEqual(cases.map((_, i) => String(i + 1).padStart(3, '0')));
    for (const { id, bootCase } of cases) {
      expect(file(`in/${id}/limit`)).toBe(String(bootCase.limit));
      expect(files.has(`in/${id}/stress`)).toBe(bootCase.stress === true);
    }
  });

  test("has a domain's configuration that fits the image", () => {
    const [first, pvh] = [cases[0], cases.find(({ subject }) => subject.arch === 'x86_32_pvh')];
    expect(file(`in/${first?.id}/domain.cfg`)).toMatch(
      /^type = "pv"\nkernel = "\/job\/image-0"\nextra = "\(hd0\)\/boot\/grub\/menu.lst"$/m,
    );
    expect(file(`in/${pvh?.id}/domain.cfg`)).toMatch(/^type = "pvh"\nkernel = "\/job\/image-1"$/m);
  });

  test('is made by well-formed shell that needs only files that are there', () => {
    const script = file('in/disks.sh');
    expect(() => execFileSync('sh', ['-n'], { input: script, stdio: ['pipe', 'ignore', 'pipe'] })).not.toThrow();
    const needed = script.match(/\bin\/[\w./-]+\w/g) ?? [];
    expect(needed.length).toBeGreaterThan(20);
    for (const name of needed.filter((one) => one !== 'in/image')) expect(files.has(name)).toBe(true);
  });
});

describe('a report', () => {
  const result = (more: Partial<CaseResult>): CaseResult => ({
    name: 'disk',
    what: 'a disk',
    ok: true,
    said: 'the guest kernel started',
    diagnosis: [],
    console: 'GNU GRUB\nlast line\n',
    ...more,
  });
  const report: BootReport = {
    id: 'pv-grub-4.17.5-x86_64',
    ok: false,
    environment: { hypervisor: 'Xen 4.17.5', qemu: '7.2', dom0: 'Linux 6.1', accelerator: 'tcg', start: 'saved', bootImage: 'ab' },
    cases: [
      result({ menu: 3.1, guest: 4 }),
      result({ name: 'ext4', ok: false, said: 'it printed nothing', diagnosis: ['(XEN) d1 crashed'] }),
    ],
  };

  test('goes into metadata without consoles, which the log has', () => {
    const metadata = bootMetadata(report);
    expect(metadata).toMatchObject({ ok: false, hypervisor: 'Xen 4.17.5', accelerator: 'tcg', log: 'boot.log' });
    expect(metadata.cases[0]).toEqual({
      name: 'disk',
      what: 'a disk',
      ok: true,
      said: 'the guest kernel started',
      menuSeconds: 3.1,
      guestSeconds: 4,
    });
    expect(JSON.stringify(metadata)).not.toContain('last line');
    expect(bootLog(report)).toMatch(
      /=== disk: a disk\n=== ok: [\s\S]*last line[\s\S]*=== FAILED: it printed nothing[\s\S]*\(XEN\) d1 crashed/,
    );
  });

  test('an error names only what failed, with the console and what Xen said', () => {
    expect(bootFaults(report)).toBe('ext4 (a disk): it printed nothing\n  | GNU GRUB\n  | last line\n  | (XEN) d1 crashed');
  });
});
