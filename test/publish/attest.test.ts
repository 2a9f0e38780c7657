import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as CDX from '@cyclonedx/cyclonedx-library';
import { describe, expect, test } from 'vitest';
import { buildEnvironment } from '../../src/build/scripts.ts';
import { attestCell } from '../../src/publish/attest.ts';
import { buildinfo } from '../../src/publish/buildinfo.ts';
import { openStatements, type Statement } from '../../src/publish/dsse.ts';
import { newKey } from '../../src/publish/key.ts';
import { provenance } from '../../src/publish/provenance.ts';
import { readProvenance } from '../../src/publish/read-provenance.ts';
import { sbom } from '../../src/publish/sbom.ts';
import { sha256 } from '../../src/util/hash.ts';
import { builtCellOf } from '../support/built.ts';
import { hasJudge } from '../support/judges.ts';
import { realPlanData } from '../support/plan-data.ts';
import { tempFolder } from '../support/temp-folder.ts';

const { catalog } = realPlanData();
const archive = { file: 'build-image.tar.gz', sha256: sha256('archive') };

describe('the buildinfo', () => {
  const built = builtCellOf().metadata;
  const files = [built.image, built.debug as typeof built.image].map((file) => ({ ...file, md5: 'd'.repeat(32), sha1: 'a'.repeat(40) }));
  const text = buildinfo(built, files);

  test('has no time and no place, and names image, packages and sources', () => {
    expect(text).not.toMatch(/Build-Date|2026|mirror|docker/);
    expect(text).toContain(`\nChecksums-Sha256:\n ${builtCellOf().metadata.image.sha256} `);
    expect(text).toContain(' gcc (= 4:12.2.0-3),\n libc6-dev-i386 (= 2.36-9),\n libfoo:i386 (= 1.0~rc1),\n adduser (= 3.134)\n');
    expect(text).toContain(' LC_ALL="C"\n');
    expect(text).toContain(' PATH="/usr/local/bin:/usr/bin:/bin"\n');
  });

  test.skipIf(!hasJudge('/usr/share/perl5/Dpkg/Control.pm'))("is read by Debian's own tools, field by field", () => {
    const file = join(tempFolder(), 'it.buildinfo');
    writeFileSync(file, text);
    const script = `
      use Dpkg::Control; use Dpkg::Deps; use Dpkg::Checksums;
      my $c = Dpkg::Control->new(type => CTRL_FILE_BUILDINFO); $c->load($ARGV[0]) or die "nothing";
      my $d = deps_parse($c->{'Installed-Build-Depends'}, build_dep => 1, reduce_arch => 0) or die "no dependencies";
      my $s = Dpkg::Checksums->new(); $s->add_from_control($c);
      print "$c->{Source} $c->{Version} ", scalar($d->get_deps()), " ", join(",", $s->get_files()), "\\n";`;
    expect(execFileSync('perl', ['-e', script, file], { encoding: 'utf8' })).toBe(
      'pv-grub 4.17.5 4 pv-grub-x86_64.gz,pv-grub-x86_64.debug\n',
    );
  });
});

describe('the SBOM', () => {
  const { cell, metadata } = builtCellOf();
  const text = sbom(metadata, cell.recipe, catalog);

  test.each(['pv-grub-4.0.0-x86_32', 'pv-grub-4.17.5-x86_64', 'pv-grub-4.22.0-x86_64', 'pvgrub2-2.12-x86_32_pvh'])(
    'of %s is valid CycloneDX 1.6 to its own library',
    async (id) => {
      const built = builtCellOf(id);
      const validator = new CDX.Validation.JsonStrictValidator(CDX.Spec.Version.v1dot6);
      expect(await validator.validate(sbom(built.metadata, built.cell.recipe, catalog))).toBeNull();
      const broken = JSON.parse(sbom(built.metadata, built.cell.recipe, catalog)) as { components: { type: string }[] };
      broken.components[0] = { type: 'no such type' };
      expect(await validator.validate(JSON.stringify(broken))).not.toBeNull();
    },
  );

  test('has every source with its SHA-256 and licence, and our edits as patches of it', () => {
    const { components, metadata: of } = JSON.parse(text) as {
      components: {
        name: string;
        hashes: object[];
        licenses?: object[];
        pedigree?: { patches: { diff: { text: { content: string } } }[] };
      }[];
      metadata: { component: { licenses: object[] } };
    };
    expect(components.map(({ name }) => name)).toEqual(cell.recipe.sources.map(({ name }) => name));
    for (const { name, hashes, licenses } of components) {
      expect(hashes).toEqual([{ alg: 'SHA-256', content: sha256(name) }]);
      expect(licenses, name).toHaveLength(1);
    }
    expect(of.component.licenses).toEqual([{ license: { id: 'GPL-2.0-only' } }]);
    const edits = components
      .flatMap(({ pedigree }) => pedigree?.patches ?? [])
      .map(({ diff }) => JSON.parse(diff.text.content) as { id: string });
    expect(edits.map(({ id }) => id).toSorted()).toEqual(cell.recipe.edits.map(({ id }) => id).toSorted());
  });

  test('is the same for the same image, whenever and wherever that was built', () => {
    const build = { ...metadata.build, started: '2030-01-01T00:00:00.000Z', engine: 'podman', seconds: 1 };
    const sources = metadata.sources.map((source) => ({ ...source, origin: 'elsewhere' }));
    expect(sbom({ ...metadata, build, sources }, cell.recipe, catalog)).toBe(text);
    expect(text).not.toMatch(/2026|mirror|docker/);
  });
});

describe('the provenance', () => {
  const { cell, metadata } = builtCellOf();
  const statement = provenance({ metadata, recipe: cell.recipe, archive, files: { 'build.log': sha256('log') } });
  const copy = () => JSON.parse(JSON.stringify(statement)) as Statement;
  type Definition = { externalParameters: { recipe: typeof cell.recipe }; resolvedDependencies: { name: string; digest: object }[] };
  const definition = (of: Statement) => of.predicate['buildDefinition'] as unknown as Definition;

  const internal = (of: Statement) => (of.predicate['buildDefinition'] as { internalParameters: object }).internalParameters;

  test('names sources, edits and build image by digest, commands, environment, limits, and the boot result', () => {
    const boot = { ok: true, hypervisor: 'Xen 4.17.5', cases: [] } as unknown as NonNullable<typeof metadata.boot>;
    const whole = JSON.stringify(provenance({ metadata: { ...metadata, boot }, recipe: cell.recipe, archive, files: {} }));
    for (const { name } of cell.recipe.sources) expect(whole.includes(sha256(name))).toBe(true);
    for (const { digest } of metadata.edits) expect(whole.includes(digest)).toBe(true);
    for (const part of [
      archive.sha256,
      metadata.buildImage.digest,
      ...metadata.buildImage.packages,
      Buffer.from(JSON.stringify(boot)).toString('base64'),
      'a mirror',
      '"memory":4294967296',
    ])
      expect(whole.includes(part), part).toBe(true);
    for (const { run } of cell.recipe.steps) expect(whole.includes(JSON.stringify(run))).toBe(true);
    expect(statement.subject.map(({ name }) => name)).toEqual(['pv-grub-x86_64.gz', 'pv-grub-x86_64.debug']);
    expect(statement.predicate['runDetails']).toMatchObject({
      metadata: { startedOn: '2026-11-25T10:00:00.000Z', finishedOn: '2026-11-25T10:00:30.500Z' },
    });
  });

  test('tells all that building again takes, and the same recipe', () => {
    const told = readProvenance(copy(), 'it');
    expect(told).toMatchObject({
      inputHash: metadata.inputHash,
      cores: 2,
      image: { file: 'pv-grub-x86_64.gz', sha256: metadata.image.sha256 },
    });
    expect(told.buildImage).toEqual({
      manifest: metadata.buildImage.digest,
      packages: metadata.buildImage.packages,
      archive: archive.sha256,
    });
    expect(told.sources.filter(({ proof }) => proof === null).map(({ name }) => name)).toEqual(['grub']);
    const { steps, env, files, placements, outputs } = cell.recipe;
    expect(told.cell.recipe).toMatchObject({ env, files, placements, outputs });
    expect(told.cell.recipe.env).toEqual(buildEnvironment(cell.recipe));
    expect(told.cell.recipe.steps.map(({ run }) => run)).toEqual(steps.map(({ run }) => run));
  });

  test.each<[string, (of: Statement) => void]>([
    ['a command', (of) => void definition(of).externalParameters.recipe.steps.splice(0, 1, { phase: 'x', run: 'true' })],
    ['an edit', (of) => void definition(of).externalParameters.recipe.edits.pop()],
    [
      'a source that nothing proves',
      (of) =>
        Object.assign(definition(of).resolvedDependencies.find(({ name }) => name === 'grub') ?? {}, { digest: { sha256: sha256('x') } }),
    ],
    [
      'what proves a source, away from its bytes',
      (of) =>
        Object.assign(definition(of).resolvedDependencies.find(({ name }) => name === 'grub') ?? {}, { annotations: { proof: 'sha256' } }),
    ],
    [
      'the digest of an edit',
      (of) =>
        Object.assign(definition(of).resolvedDependencies.find(({ name }) => name.startsWith('edit ')) ?? {}, {
          digest: { sha256: sha256('x') },
        }),
    ],
    [
      'a package',
      (of) =>
        Object.assign(definition(of).resolvedDependencies.find(({ name }) => name === 'build image') ?? {}, {
          annotations: { manifest: metadata.buildImage.digest, dockerfile: metadata.buildImage.dockerfile, packages: [] },
        }),
    ],
    ['the version', (of) => Object.assign(definition(of).externalParameters, { version: '9.9.9' })],
    ['no subject at all', (of) => Object.assign(of, { subject: [null] })],
    ['a source left out', (of) => void definition(of).resolvedDependencies.shift()],
    ['its kind', (of) => Object.assign(of.predicate['buildDefinition'] as object, { buildType: 'urn:other' })],
    ['its predicate', (of) => Object.assign(of, { predicateType: 'https://slsa.dev/verification_summary/v1' })],
    [
      "a variable of the recipe's",
      (of) => Object.assign(of.predicate['buildDefinition'] as object, { internalParameters: { ...internal(of), environment: {} } }),
    ],
    ['the image', (of) => void of.subject.splice(0)],
    ['an output out of its folder', (of) => Object.assign(definition(of).externalParameters.recipe.outputs[0] ?? {}, { file: '../../x' })],
    [
      'an edit out of its tree',
      (of) => Object.assign(definition(of).externalParameters.recipe.edits[0] ?? {}, { create: [{ file: '../x', content: '' }] }),
    ],
    ['nothing at all', (of) => Object.assign(of, { predicate: {} })],
  ])('with %s changed is refused', (_what, change) => {
    const changed = copy();
    change(changed);
    expect(() => readProvenance(changed, 'it')).toThrow(expect.objectContaining({ code: 'STATEMENT_INVALID' }));
  });
});

test('all three are written beside the image, and only for an image that is whole and of the present inputs', async () => {
  const { cell, metadata, image } = builtCellOf();
  const output = tempFolder();
  const folder = join(output, 'pv-grub/4.17.5/x86_64');
  mkdirSync(folder, { recursive: true });
  const key = newKey();
  const attest = () => attestCell(cell, { output, catalog, key, archiveOf: async () => archive });
  await expect(attest()).rejects.toMatchObject({ code: 'OUTPUT_MISSING' });
  writeFileSync(join(folder, 'metadata.json'), JSON.stringify(metadata));
  writeFileSync(join(folder, 'build.log'), 'log');
  writeFileSync(join(folder, 'pv-grub-x86_64.gz'), 'damaged');
  await expect(attest()).rejects.toMatchObject({ code: 'OUTPUT_DAMAGED' });
  writeFileSync(join(folder, 'pv-grub-x86_64.gz'), image);
  await expect(attest()).rejects.toMatchObject({ code: 'OUTPUT_DAMAGED' });
  writeFileSync(join(folder, 'pv-grub-x86_64.debug'), 'debug');
  expect(await attest()).toEqual({ image: 'pv-grub-x86_64.gz', archived: true });
  const written = readdirSync(folder).filter((name) => name.startsWith('pv-grub-x86_64.gz.'));
  expect(written.sort()).toEqual(['pv-grub-x86_64.gz.buildinfo', 'pv-grub-x86_64.gz.cdx.json', 'pv-grub-x86_64.gz.intoto.jsonl']);
  const [statement] = openStatements(readFileSync(join(folder, 'pv-grub-x86_64.gz.intoto.jsonl'), 'utf8'), key.public, 'it');
  expect(statement?.subject[0]?.digest).toEqual({ sha256: sha256(image) });
  expect(JSON.stringify(statement)).toContain(sha256('log'));
  const other = { ...cell, recipe: { ...cell.recipe, steps: [...cell.recipe.steps, { phase: 'more', run: 'true' }] } };
  await expect(attestCell(other, { output, catalog, key, archiveOf: async () => archive })).rejects.toMatchObject({
    code: 'OUTPUT_MISSING',
  });
});
