import { quote } from '../build/scripts.ts';
import type { PublicationIndex, PublishedImage } from './index-file.ts';
import { parsePublicKey } from './key.ts';
import { SSH_NAMESPACE, sshPublicKey } from './sshsig.ts';

/** What people type who check and get images with other tools than this one. On the page, and run by tests. Pure. */

/** Stands for the address where a publication does not say it. */
const PLACE = 'https://…';

type Which = Pick<PublicationIndex, 'url' | 'key'>;

/** Commands that download, check and install an image: with curl and minisign, and with pvgrub. */
export function pullCommands({ url = PLACE, key }: Which, image: PublishedImage): { shell: string; pull: string } {
  const base = quote(url.replace(/\/+$/, ''));
  return {
    shell: [
      `url=${base} ${chosen(image)}`,
      'curl -fL --fail-early --remote-name-all "$url/$image" "$url/$image.minisig" &&',
      `minisign -VQm "\${image##*/}" -P ${key} | grep -F "$want" &&`,
      `install -D -m 644 "\${image##*/}" "\${DESTDIR-}/usr/lib/xen/boot/\${image##*/}" ||`,
      "{ echo 'NOT installed: see above' >&2; false; }",
    ].join('\n'),
    pull: `pvgrub pull ${image.id} --from ${base} --key ${key} --install`,
  };
}

/** What those commands must know of an image: where it is, and what its signature must say. */
export function chosen({ path, image, version, arch }: PublishedImage): string {
  return `image=${path}/${image.name} want='version:${version} arch:${arch} '`;
}

/** Commands that check sums and signatures in a copy of a publication, one tool after another. */
export function verifyCommands({ key }: Which): string[] {
  const ssh = sshPublicKey(parsePublicKey(key, 'the key'));
  return [
    'sha256sum -c --strict --quiet SHA256SUMS',
    `minisign -Vm SHA256SUMS -P ${key}`,
    `minisign -Vm index.json -P ${key}`,
    `ssh-keygen -Y verify -f <(echo 'publisher ${ssh}') -I publisher -n ${SSH_NAMESPACE} -s SHA256SUMS.sig < SHA256SUMS`,
  ];
}
