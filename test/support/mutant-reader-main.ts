import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { RewindError } from '../../errors/rewind-error.ts';
import { putKeysHere } from '../../restore/keys/put-keys-here.ts';
import { type MutantBase, mutantBase, mutantOf } from './dump-mutants.ts';
import { type MutantReading, readMutant } from './mutant-reading.ts';

/** Mutants [from, to) of a corpus; of the numbers in `put` the keys are put into the server at that URL as well. */
export interface MutantOrder {
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  readonly put: readonly { readonly number: number; readonly url: string; readonly by: 'slices' | 'commands' }[];
}

export interface MutantNews {
  readonly from: number;
  readonly readings: readonly MutantReading[];
  /** Of those that were put: keys by database, or the error's code. */
  readonly puts: readonly { readonly number: number; readonly outcome: string | Readonly<Record<string, number>> }[];
  readonly slowestMs: number;
  /** Of this process, the most so far, bytes. */
  readonly rss: number;
}

const putWithinMs = 60_000;

/** The process that reads mutants: it ends with its parent. What is no RewindError ends it, and the test with it. */
const [folder, ...files] = process.argv.slice(2) as [string, ...string[]];
const corpus: MutantBase[] = files.map((file) => mutantBase(readFileSync(file)));
process.on('disconnect', () => process.exit(1));
process.on('message', async (order: MutantOrder) => {
  const readings: MutantReading[] = [];
  const puts: MutantNews['puts'][number][] = [];
  let slowestMs = 0;
  for (let number = order.from; number < order.to; number++) {
    const { bytes } = mutantOf(corpus, order.seed, number);
    const since = performance.now();
    readings.push(readMutant(bytes));
    slowestMs = Math.max(slowestMs, performance.now() - since);
  }
  for (const { number, url, by } of order.put) {
    const dumpPath = join(folder, `put-${number}.rdb`);
    writeFileSync(dumpPath, mutantOf(corpus, order.seed, number).bytes);
    const namesFile = join(folder, `put-${number}.names`);
    puts.push({ number, outcome: await put(dumpPath, namesFile, url, by) });
  }
  process.send!({ from: order.from, readings, puts, slowestMs, rss: process.memoryUsage().rss } satisfies MutantNews);
});
process.send!('ready');

async function put(
  dumpPath: string,
  namesFile: string,
  url: string,
  by: 'slices' | 'commands',
): Promise<string | Readonly<Record<string, number>>> {
  try {
    const figures = await putKeysHere(
      {
        dumpPath,
        target: { url },
        selection: {},
        ttl: 'keep',
        shiftMs: 0,
        onConflict: 'keep-live',
        functions: 'append',
        namesFile,
        by,
        limits: {},
      },
      { signal: AbortSignal.timeout(putWithinMs), onProgress: () => {}, onCursor: () => {} },
    );
    return figures.byDatabase;
  } catch (error) {
    if (!(error instanceof RewindError)) throw error;
    return error.code;
  }
}
