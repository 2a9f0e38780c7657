import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { wouldRemove } from '../../src/clean/setup-item.ts';
import { candidates } from '../../src/cli/completion.ts';
import { reference } from '../../src/cli/reference.ts';
import { clockFinding, memoryFinding, roomFinding } from '../../src/doctor/needs.ts';
import { pvgrub, root } from '../support/cli.ts';
import { hasJudge } from '../support/judges.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('docs/commands.md is what the command line says (else: npm run generate)', () => {
  expect(readFileSync(join(root, 'docs/commands.md'), 'utf8')).toBe(reference());
});

describe('completion', () => {
  const cells = async () => ['pv-grub-4.17.5-x86_64', 'pvgrub2-2.14-x86_64'];
  const cases: [words: string[], expected: string[] | string][] = [
    [['bui'], ['build']],
    [
      ['guest', ''],
      ['check', 'menu', 'domain', 'try', 'help'],
    ],
    [['sources', 'ex'], ['export']],
    [['build', 'pv-'], ['pv-grub-4.17.5-x86_64']],
    [['build', '--boot', 'pvgrub2'], ['pvgrub2-2.14-x86_64']],
    [['build', '--out', ''], []],
    [['build', '--progress', 'q'], ['quiet']],
    [
      ['matrix', '--format', 'git'],
      ['github', 'gitlab'],
    ],
    [['build', '--jun'], ['--junit']],
    [['inspect', ''], []],
    [['completion', 'z'], ['zsh']],
    [['clean', 'store', 'im'], ['images']],
  ];
  test.each(cases)('of %j', async (words, expected) => {
    expect(await candidates(words, cells)).toEqual(expected);
  });

  test('does not show what is not for people', async () => {
    expect(await candidates([''], cells)).not.toContain('complete');
  });

  test('works in bash', () => {
    const bin = tempFolder();
    execFileSync('ln', ['-s', join(root, 'pvgrub'), join(bin, 'pvgrub')]);
    const script = `eval "$(pvgrub completion bash)"; COMP_WORDS=(pvgrub build --progress pl); COMP_CWORD=3; _pvgrub; echo "\${COMPREPLY[*]}"
      COMP_WORDS=(pvgrub build pv-grub-4.17.5-x86_3); COMP_CWORD=2; _pvgrub; echo "\${COMPREPLY[*]}"`;
    const called = spawnSync('bash', ['--norc', '-c', `${script} 2>/dev/null`], {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${bin}:${process.env['PATH']}` },
    });
    expect(called.stdout).toBe('plain\npv-grub-4.17.5-x86_32\n');
  });

  test.skipIf(!hasJudge('fish'))('works in fish', () => {
    const bin = tempFolder();
    execFileSync('ln', ['-s', join(root, 'pvgrub'), join(bin, 'pvgrub')]);
    const env = { ...process.env, PATH: `${bin}:${process.env['PATH']}`, HOME: bin };
    const called = spawnSync('fish', ['-c', "pvgrub completion fish | source; complete -C 'pvgrub build --progress pl'"], {
      encoding: 'utf8',
      env,
    });
    expect(called.stdout.trim()).toBe('plain');
  });

  test.skipIf(!hasJudge('zsh'))('can be read by zsh', () => {
    const script = execFileSync(process.execPath, [join(root, 'src/cli/main.ts'), 'completion', 'zsh'], { encoding: 'utf8' });
    const folder = tempFolder();
    writeFileSync(join(folder, 'pvgrub.zsh'), script);
    const called = spawnSync(
      'zsh',
      ['-f', '-c', `autoload -U compinit; compinit -u -D; source ${join(folder, 'pvgrub.zsh')}; print $_comps[pvgrub]`],
      { encoding: 'utf8' },
    );
    expect([called.stdout.trim(), called.stderr]).toEqual(['_pvgrub', '']);
  });

  test('of another shell is an error that names those there are', async () => {
    expect(await pvgrub(['completion', 'tcsh'])).toMatchObject({ code: 2, stderr: expect.stringContaining('bash, zsh, fish') });
  });
});

describe('what a plan needs', () => {
  test('of room is an error where there is less, a warning where it is tight or cannot be seen', () => {
    expect([5, 15, 20, undefined].map((free) => roomFinding('disk', free, 10, 'x').level)).toEqual(['error', 'warning', 'ok', 'warning']);
    expect(roomFinding('disk', 5, 10, 'x').hint).toContain('pvgrub clean');
  });

  test('of the clock is what most servers say, within minutes', () => {
    const now = Date.UTC(2026, 10, 26);
    expect(clockFinding(now, []).level).toBe('ok');
    expect(clockFinding(now, [now - 60_000, now + 10 ** 8]).level).toBe('ok');
    expect(clockFinding(now, [now - 3_600_000])).toMatchObject({ level: 'error', said: '60 minutes ahead of what servers say' });
    expect(clockFinding(now, [now + 3_600_000]).said).toContain('behind');
  });

  test('of memory is told for the cells side by side', () => {
    expect(memoryFinding('memory', 8, 2, 4).level).toBe('ok');
    expect(memoryFinding('memory', 8, 3, 4)).toMatchObject({ level: 'warning', hint: expect.stringContaining('--jobs') });
  });
});

describe('doctor', () => {
  const json = async (args: string[], env: NodeJS.ProcessEnv = {}) => {
    const called = await pvgrub(['doctor', 'pv-grub-4.17.5-x86_64', '--json', ...args], { env });
    return { ...called, findings: (JSON.parse(called.stdout) as { findings: { name: string; level: string; said: string }[] }).findings };
  };

  test('without an engine ends with 4 and says what to do; offline it asks nobody', async () => {
    const { code, findings } = await json(['--engine', 'unix:///nowhere.sock', '--offline']);
    expect(code).toBe(4);
    expect(findings).toContainEqual(expect.objectContaining({ name: 'engine', level: 'error', hint: expect.stringMatching(/runs/) }));
    expect(findings).toContainEqual({ name: 'network', level: 'ok', said: 'not looked at, because of --offline' });
    for (const name of ['node', 'output', 'store', 'key', 'git', 'gpgv']) expect(findings.map((one) => one.name)).toContain(name);
  });

  test('tells origins that cannot be reached, a clock that is wrong, and a key that is none', async () => {
    const server = createServer((_request, response) => response.setHeader('date', new Date(Date.now() - 86_400_000).toUTCString()).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const config = join(tempFolder(), 'matrix.config.json');
    const unreachable = 'http://127.0.0.1:9/x.tar.gz';
    const origins = Object.fromEntries(
      ['xen', 'mini-os', 'newlib', 'zlib', 'pciutils', 'lwip', 'polarssl', 'grub'].map((name) => [name, unreachable]),
    );
    writeFileSync(
      config,
      JSON.stringify({
        loaders: { 'pv-grub': { versions: ['4.17.5'] } },
        origins: { ...origins, xen: `http://127.0.0.1:${port}/x.tar.gz` },
      }),
    );
    try {
      const env = { PVGRUB_KEY: 'no key', PVGRUB_DEBIAN_MIRROR: `http://127.0.0.1:${port}` };
      const { findings } = await json(
        ['--engine', 'unix:///nowhere.sock', '--config', config, '--store', join(tempFolder(), 'store')],
        env,
      );
      expect(findings).toContainEqual(
        expect.objectContaining({ name: 'origin', level: 'warning', said: expect.stringContaining('cannot be reached') }),
      );
      expect(findings).toContainEqual(expect.objectContaining({ name: 'mirror', level: 'ok', said: `http://127.0.0.1:${port}/ answers` }));
      expect(findings).toContainEqual(expect.objectContaining({ name: 'key', level: 'error' }));
    } finally {
      server.close();
    }
  });
});

describe('clean', () => {
  test('shows what there is and frees only what is named, and nothing that is not ours', async () => {
    const folder = tempFolder();
    const path = (name: string) => join(folder, name);
    for (const name of [
      'cache/toolchain/key',
      'store/sha256/ab',
      'store/mine',
      'out/.work-999999999.1.pv-grub-4.1.4-x86_64-abcdef',
      'out/pv-grub',
    ])
      mkdirSync(path(name), { recursive: true });
    for (const name of [
      'cache/toolchain/key/x.tar.gz',
      'store/sha256/ab/abcd',
      'store/mine/letter',
      'out/pv-grub/image',
      'out/.work-999999999.1.pv-grub-4.1.4-x86_64-abcdef/log',
    ])
      writeFileSync(path(name), 'x'.repeat(10_000));
    const env = {
      PVGRUB_ENGINE_RUN: path('run'),
      XDG_STATE_HOME: path('state'),
      XDG_CACHE_HOME: path('xdg'),
      DOCKER_HOST: `unix://${path('none')}`,
    };
    const call = (...what: string[]) =>
      pvgrub(['clean', ...what, '--json', '--out', path('out'), '--store', path('store'), '--cache-dir', path('cache')], { env });
    const items = async (...what: string[]) =>
      JSON.parse((await call(...what)).stdout) as { kind: string; bytes: number; result: string | null }[];
    expect((await items()).map(({ kind, result }) => [kind, result])).toEqual([
      ['leftovers', null],
      ['cache', null],
      ['store', null],
    ]);
    expect((await items()).every(({ bytes }) => bytes >= 10_000)).toBe(true);
    expect((await items('leftovers', 'cache')).map(({ result }) => result)).toEqual(['removed', 'removed', null]);
    expect([existsSync(path('cache/toolchain')), existsSync(path('store/sha256/ab/abcd'))]).toEqual([false, true]);
    expect((await items('all')).map(({ kind, result }) => [kind, result])).toEqual([['store', 'removed']]);
    expect([existsSync(path('store/sha256')), existsSync(path('store/mine/letter')), existsSync(path('out/pv-grub/image'))]).toEqual([
      false,
      true,
      true,
    ]);
    expect(await items()).toEqual([]);
    expect((await call('everything')).code).toBe(2);
  });

  test('of packages reads what apt would take away with them', () => {
    expect(wouldRemove('NOTE: only a simulation\nRemv docker.io [20.10]\nPurg runc [1.1] [x ]\nInst y\n')).toEqual(['docker.io', 'runc']);
  });
});
