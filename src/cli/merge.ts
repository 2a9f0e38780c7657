import { mergeOutputs } from '../build/merge.ts';
import { UsageError } from '../errors.ts';
import { print } from './context.ts';

/** `pvgrub merge`: join the results of shards. */
export async function mergeCommand(folders: string[], { out }: { out?: string }): Promise<void> {
  if (out === undefined) throw new UsageError('OPTION_INVALID', 'merge needs --out', { expected: 'the folder that takes all results' });
  const { copied, same } = await mergeOutputs(folders, out);
  print(
    `${copied.length} ${copied.length === 1 ? 'cell' : 'cells'} merged into ${out}${same.length === 0 ? '' : `, ${same.length} were the same`}; SHA256SUMS covers all that is there`,
  );
}
