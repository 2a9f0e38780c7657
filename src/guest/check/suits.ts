import { compareVersions } from '../../catalog/version.ts';
import type { GuestReport, LoaderVerdict } from './check.ts';

/** Which loader suits a guest, and why. Pure. */

/** The loader to take. */
export interface Suited {
  verdict: LoaderVerdict;
  why: string;
}

const newest = (list: readonly LoaderVerdict[]) =>
  list.toSorted((a, b) => compareVersions(a.loader.version ?? '0', b.loader.version ?? '0')).at(-1);

/**
 * The loader that suits: pv-grub where a menu.lst is there that it boots by, else pvgrub2; PV before PVH; the newest of them.
 * @returns undefined where none boots the guest as it is
 */
export function suitedLoader({ verdicts, menus }: Pick<GuestReport, 'verdicts' | 'menus'>): Suited | undefined {
  const good = verdicts.filter(({ ok }) => ok);
  const of = (loader: string, pvh: boolean) =>
    newest(good.filter((verdict) => verdict.loader.loader === loader && (verdict.loader.arch === 'x86_32_pvh') === pvh));
  const menuOf = (verdict: LoaderVerdict) => menus.find(({ name }) => name === verdict.menu);
  const classic = of('pv-grub', false);
  const second = of('pvgrub2', false);
  const pvh = of('pvgrub2', true);
  const width = (verdict: LoaderVerdict) => `its kernel is of ${verdict.loader.arch === 'x86_64' ? 64 : 32} bits`;
  // The menu that the guest's own tools keep up to date is the one to boot by.
  if (classic && !(second && menuOf(second)?.kind === 'grub2'))
    return { verdict: classic, why: `${classic.menu} is there, all of it is readable, and ${width(classic)}` };
  if (second) {
    const both = classic ? '; pv-grub would boot by its menu.lst, but who keeps two menus has them drift apart' : '';
    return { verdict: second, why: `it boots by ${second.menu}, and ${width(second)}${both}` };
  }
  if (pvh) return { verdict: pvh, why: `it boots by ${pvh.menu}, and only PVH is left for this kernel` };
  return undefined;
}
