import type { Metadata } from '../build/metadata.ts';
import { VERSION } from '../catalog/load.ts';
import type { Catalog, SourceRef } from '../catalog/types.ts';
import type { Edit, Recipe } from '../recipes/types.ts';
import { sha256 } from '../util/hash.ts';

/**
 * What an image is made of, as CycloneDX 1.6 (ECMA-424): its sources with checksums, licences and the places where they
 * are published, and what we change in them. The same image has the same one: no time, no place, no random number. Pure.
 *
 * @returns the content of `<image>.cdx.json`
 */
export function sbom(metadata: Metadata, recipe: Recipe, { licences }: Pick<Catalog, 'licences'>): string {
  const { id, loader, version, arch, image, inputHash } = metadata;
  const components = metadata.sources.map((source) => {
    const ref = recipe.sources.find(({ name }) => name === source.name);
    const patches = recipe.edits.filter((edit) => edit.source === source.name).map(patch);
    return {
      type: 'library',
      'bom-ref': `${source.name}@${source.version}`,
      name: source.name,
      version: source.version,
      hashes: [{ alg: 'SHA-256', content: source.sha256 }],
      ...licence(licences.sources[source.name]),
      purl: purl(source.name, source.version, source.sha256),
      ...(ref ? references(ref) : {}),
      ...(patches.length > 0 ? { pedigree: { patches } } : {}),
      properties: properties({ file: source.file, proof: source.proof ?? 'none', ...(source.commit ? { commit: source.commit } : {}) }),
    };
  });
  const document = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      tools: { components: [{ type: 'application', name: 'pvgrub-forge', version: VERSION }] },
      component: {
        type: 'firmware',
        'bom-ref': id,
        name: image.file,
        version,
        description: `${loader} ${version}, ${arch}`,
        hashes: [{ alg: 'SHA-256', content: image.sha256 }],
        ...licence(licences.images[loader]),
        purl: purl(loader, version, image.sha256),
        properties: properties({ cell: id, inputHash }),
      },
    },
    components,
    dependencies: [{ ref: id, dependsOn: components.map((component) => component['bom-ref']) }],
  };
  const serialNumber = `urn:uuid:${uuid(JSON.stringify(document))}`;
  return `${JSON.stringify({ ...document, serialNumber }, null, 2)}\n`;
}

/** One of our edits as a patch: not a diff, but its counted substitutions and new files, as edits/ has them. */
function patch({ id, what, why, upstream, substitutions = [], create = [] }: Edit) {
  return {
    type: upstream === undefined ? 'unofficial' : 'backport',
    diff: { text: { contentType: 'application/json', content: JSON.stringify({ id, what, why, substitutions, create }) } },
  };
}

/** An expression or a name, as CycloneDX tells them apart. */
function licence(text: string | undefined): object {
  if (text === undefined) return {};
  if (!/^[A-Za-z0-9.+-]+( (AND|OR) [A-Za-z0-9.+-]+)*$/.test(text)) return { licenses: [{ license: { name: text } }] };
  return { licenses: text.includes(' ') ? [{ expression: text }] : [{ license: { id: text } }] };
}

/** Upstream's own places of a source: not the one that it came from here. */
function references({ origins }: SourceRef): object {
  const list = origins.flatMap((origin) => {
    if (origin.type === 'tarball') return [{ type: 'source-distribution', url: origin.url }];
    if (origin.type === 'git') return [{ type: 'vcs', url: origin.url, comment: `commit ${origin.commit}` }];
    return [];
  });
  return list.length > 0 ? { externalReferences: list } : {};
}

/** A package URL of the type `generic` (purl-spec). */
function purl(name: string, version: string, digest: string): string {
  return `pkg:generic/${encodeURIComponent(name)}@${encodeURIComponent(version)}?checksum=sha256:${digest}`;
}

function properties(values: Record<string, string>): { name: string; value: string }[] {
  return Object.entries(values).map(([name, value]) => ({ name: `pvgrub-forge:${name}`, value }));
}

/** A UUID of the custom form (RFC 9562, version 8) from a text. */
function uuid(text: string): string {
  const hex = sha256(text);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}
