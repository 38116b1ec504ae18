import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseHeader } from '../../rdb/magic.ts';
import { connectTo } from '../support/dataset.ts';
import { DumpJudge } from '../support/dump-judge.ts';
import { type MutantBase, mutantBase, mutantOf } from '../support/dump-mutants.ts';
import { MutantReader } from '../support/mutant-reader.ts';
import { type MutantReading, readMutant } from '../support/mutant-reading.ts';
import { MutantTable } from '../support/mutant-table.ts';
import { fillByChance } from '../support/random-commands.ts';
import { type Flavour, missingFlavour, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

/** `npm run test:mutants` reads 200,000; `npm test` a slice. */
const isSlice = process.env.REWIND_MUTANTS === undefined;
const mutants = Number(process.env.REWIND_MUTANTS ?? 2_000);
/** Printed; given again, it makes the same mutants of the same dumps, which differ from run to run. */
const seed = Number(process.env.REWIND_SEED ?? (isSlice ? 1 : Date.now() % 1_000_000));
/**
 * One mutant in tens of thousands shows what nobody knew. That is for the whole run to find; a slice fails over what is
 * broken.
 */
const mostFaults = isSlice ? 1 : 0;
/** A folder of more dumps to make mutants of. */
const moreDumps = process.env.REWIND_MUTANT_DUMPS;
/** Where mutants are kept that show a fault. */
const keepIn = process.env.REWIND_MUTANT_KEEP;

const perOrder = 500;
/** Of each order: 20,000 accepted and 5,000 others of 200,000 are judged, and 1,000 put. */
const judged = { accepted: 50, others: 13 };
const put = { accepted: 2, others: 1 };
const mostRss = 512 * 1024 * 1024;
const slowestMs = 10_000;

const flavours = (['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'] as const).filter(
  (flavour) => missingFlavour(flavour) === undefined,
);
let folder: TemporaryFolder;
const files: string[] = [];
const corpus: MutantBase[] = [];
const writers: Flavour[] = [];
const judges = new Map<Flavour, { plain: DumpJudge; strict: DumpJudge; live: DumpJudge }>();

beforeAll(async () => {
  folder = await temporaryFolder('mutants');
  for (const flavour of flavours) {
    const server = await startRedis({ flavour });
    const redis = await connectTo(server);
    for (let i = 0; i < 3; i++) {
      await redis.flushall();
      if (flavour !== 'redis-6.2') await redis.call('FUNCTION', 'FLUSH');
      await redis.config('SET', 'maxmemory-policy', ['noeviction', 'allkeys-lru', 'allkeys-lfu'][i]!);
      await fillByChance(redis, { flavour, seed: seed + i, commands: 120 });
      await redis.save();
      await add(await readFile(join(server.dir, 'dump.rdb')), flavour);
    }
    redis.disconnect();
    await server.stop();
    judges.set(flavour, {
      plain: await DumpJudge.start(flavour),
      strict: await DumpJudge.start(flavour, ['sanitize-dump-payload yes']),
      live: await DumpJudge.start(flavour),
    });
  }
  if (moreDumps === undefined) return;
  for (const name of (await readdir(moreDumps)).filter((each) => each.endsWith('.rdb')).sort()) {
    const bytes = await readFile(join(moreDumps, name));
    const writer = loaderOf(parseHeader(bytes, 0)?.version ?? 99);
    if (writer === undefined || !flavours.includes(writer)) continue;
    await add(bytes, writer).catch(() => {});
  }
});

afterAll(async () => {
  for (const { plain, strict, live } of judges.values())
    await Promise.all([plain, strict, live].map((each) => each.stop()));
  await folder.remove();
});

/** The oldest server that loads this version of REDIS. */
function loaderOf(version: number): Flavour | undefined {
  if (version <= 9) return 'redis-6.2';
  if (version === 10) return 'redis-7.0';
  if (version === 11) return 'valkey-8';
  return version === 12 ? 'redis-8.2' : undefined;
}

async function add(bytes: Buffer, writer: Flavour): Promise<void> {
  const base = mutantBase(bytes);
  // What a bare server does not load as it stands says nothing when it is altered.
  const { code, doubts } = readMutant(bytes);
  if (base.starts.length < 2 || code !== 'accepted' || doubts.some((doubt) => doubt !== 'a function library')) return;
  const file = join(folder.path, `base-${files.length}.rdb`);
  await writeFile(file, bytes);
  files.push(file);
  corpus.push(base);
  writers.push(writer);
}

test(`${mutants} mutated dumps are read right or refused by a code, as a real server would`, {
  timeout: isSlice ? 600_000 : 6 * 3_600_000,
}, async () => {
  const table = new MutantTable(seed);
  const reader = await MutantReader.start(folder.path, files);
  try {
    for (let from = 0; from < mutants; from += perOrder) {
      const to = Math.min(mutants, from + perOrder);
      const news = await reader.read({ seed, from, to, put: [] });
      const { readings } = news;
      table.read(news);
      expect(news.slowestMs, `mutants from ${from}`).toBeLessThan(slowestMs);
      expect(news.rss, `mutants from ${from}`).toBeLessThan(mostRss);
      for (const [i, number] of toPut(readings, from).entries()) {
        // A server that is empty again: the keys of each are counted.
        const live = judges.get(writers[mutantOf(corpus, seed, number).base]!)!.live;
        const redis = await live.connect();
        await redis.flushall();
        await redis.call('FUNCTION', 'FLUSH').catch(() => {}); // 6.2 has none
        const order = { number, url: live.url, by: i % 2 === 0 ? 'slices' : 'commands' } as const;
        const { puts } = await reader.read({ seed, from: to, to, put: [order] });
        const [{ outcome }] = puts as [(typeof puts)[number]];
        await table.put(number, outcome, await countsOf(live), readings[number - from]!, (why) => keep(number, why));
      }
      const quota = { accepted: judged.accepted, others: judged.others };
      for (let number = from; number < to; number++) {
        const reading = readings[number - from]!;
        const kind = reading.code === 'accepted' ? 'accepted' : 'others';
        if (quota[kind]-- <= 0) continue;
        const { bytes, base, how } = mutantOf(corpus, seed, number);
        const { plain, strict } = judges.get(writers[base]!)!;
        const verdict = await plain.judge(bytes);
        const closely = kind === 'accepted' && number % 4 === 0 ? await strict.judge(bytes) : undefined;
        await table.judge({ number, how, reading, verdict, closely }, (why) => keep(number, why));
      }
      if (to % 10_000 === 0) console.log(table.text());
    }
  } finally {
    await reader.stop();
    console.log(table.text());
  }
  expect(table.faults.length, table.faults.join('\n')).toBeLessThanOrEqual(mostFaults);
});

/** Numbers of those whose keys go into a live server. */
function toPut(readings: readonly MutantReading[], from: number): number[] {
  const numbers = (accepted: boolean) =>
    readings.flatMap(({ code }, i) => ((code === 'accepted') === accepted ? [from + i] : []));
  return [...numbers(true).slice(-put.accepted), ...numbers(false).slice(-put.others)];
}

async function countsOf(judge: DumpJudge): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [, db, keys] of (await (await judge.connect()).info('keyspace')).matchAll(/^db(\d+):keys=(\d+)/gm)) {
    counts[db!] = Number(keys);
  }
  return counts;
}

async function keep(number: number, why: string): Promise<void> {
  if (keepIn === undefined) return;
  await mkdir(keepIn, { recursive: true });
  const { bytes, base } = mutantOf(corpus, seed, number);
  await writeFile(join(keepIn, `${why}-${writers[base]}-${seed}-${number}.rdb`), bytes);
}
