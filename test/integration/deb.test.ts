import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ensureBuildImage } from '../../src/engine/build-image.ts';
import { ownerLabels, thisOwner } from '../../src/engine/labels.ts';
import { deb } from '../../src/publish/deb.ts';
import { newKey } from '../../src/publish/key.ts';
import { preparedImages } from '../../src/publish/prepare.ts';
import { makeArtifacts } from '../support/published.ts';
import { makeBench, testEngine } from '../support/run-stand-in.ts';
import { makeTar } from '../support/tar-maker.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('apt installs the package in a Debian, and takes it away again', async () => {
  const engine = await testEngine();
  const folder = tempFolder();
  const key = newKey();
  await makeArtifacts(folder, 'pv-grub-4.17.5-x86_64', key);
  const made = await deb(await preparedImages(folder, (ids) => ids, key), {
    name: 'pv-grub',
    maintainer: 'Jane Doe <jane@example.net>',
    date: new Date('2026-11-25T10:00:00Z'),
  });
  const bench = makeBench(engine, folder);
  const labels = ownerLabels(thisOwner('deb'));
  const { id } = await ensureBuildImage(engine, { settings: bench.settings({}), labels, say: () => {} });
  const script = [
    'set -e',
    'apt-get install -y /tmp/it.deb >&2',
    'dpkg --verify pv-grub >&2',
    `dpkg-query -W -f '\${Status} \${Version}\\n' pv-grub`,
    'sha256sum < /usr/lib/xen-4.17/boot/pv-grub-x86_64.gz',
    'apt-get purge -y pv-grub >&2',
    'test ! -e /usr/lib/pv-grub && test ! -e /usr/lib/xen-4.17 && echo gone',
  ].join('\n');
  const container = await engine.docker.createContainer({
    Image: id,
    User: 'root',
    Cmd: ['sh', '-c', script],
    Env: ['DEBIAN_FRONTEND=noninteractive', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin'],
    Tty: true,
    NetworkDisabled: true,
    Labels: labels,
    HostConfig: { NetworkMode: 'none' },
  });
  try {
    await container.putArchive(await makeTar([{ name: 'it.deb', content: made.bytes }]), { path: '/tmp' });
    await container.start();
    const { StatusCode } = (await container.wait()) as { StatusCode: number };
    const log = (await container.logs({ stdout: true, stderr: true })).toString('utf8').replaceAll('\r\n', '\n');
    expect(StatusCode, log).toBe(0);
    const [image] = (await preparedImages(folder, (ids) => ids, key)).map(({ image }) => image.image.sha256);
    expect(log).toContain('install ok installed 4.17.5+202611251000\n');
    expect(log).toContain(`${image}  -\n`);
    expect(log).toContain('gone\n');
  } finally {
    await container.remove({ force: true });
    bench.remove();
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);
