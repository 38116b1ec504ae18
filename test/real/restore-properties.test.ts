import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { ContentDigest, type StreamDetail } from '../../rdb/content-digest.ts';
import { inspectRdb } from '../../rdb/inspect.ts';
import { isDecoded } from '../../rdb/types.ts';
import { walkRdb } from '../../rdb/walk.ts';
import { withRedis } from '../../redis/connection.ts';
import { streamAsPrimary } from '../../restore/as-primary/stream-as-primary.ts';
import { placeFiles } from '../../restore/files/place-files.ts';
import { sandboxTarget, startSandbox, stopSandbox } from '../../restore/files/started-sandbox.ts';
import { factsOf } from '../../sandbox/dump-facts.ts';
import { findServers } from '../../sandbox/servers.ts';
import { Random } from '../../scripts/bench/random.ts';
import { debugAllowed } from '../support/data-digest.ts';
import { connectTo } from '../support/dataset.ts';
import { flavours, PutKeysStage, put, type Side } from '../support/put-keys.ts';
import { fillByChance } from '../support/random-commands.ts';
import { type Flavour, missingFlavour, redisBinary, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** `npm run test:properties` takes many data sets from each server into all; `npm test` one from each into one. */
const rounds = Number(process.env.REWIND_PROPERTIES ?? 0);
/** Printed: the same seed sends the same commands. */
const seed = Number(process.env.REWIND_SEED ?? (rounds === 0 ? 1 : Date.now() % 1_000_000));

/** Where a dump loads: dumps go upward, and the two families part with Redis 7.4 and Valkey 9. */
const upward: Readonly<Record<Flavour, readonly Flavour[]>> = {
  'redis-6.2': flavours,
  'redis-7.0': ['redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'],
  'valkey-8': ['valkey-8', 'valkey-9', 'redis-8.2'],
  'redis-8.2': ['redis-8.2'],
  'valkey-9': ['valkey-9'],
};
const io = { signal: new AbortController().signal, onProgress: () => undefined };
const stage = new PutKeysStage();
const targets = new Map<Flavour, Side>();
const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});
afterAll(() => stage.end());

/** What of a server's data can be compared: DEBUG DIGEST, each key's content with its groups, and the libraries. */
interface Held {
  readonly digest: string;
  readonly contents: ReadonlyMap<string, string>;
  readonly functions: string;
}

/** What of a stream a dump of this server says: a server that loads it makes up the rest. */
const streamDetail: Readonly<Record<Flavour, StreamDetail>> = {
  'redis-6.2': 1,
  'redis-7.0': 2,
  'redis-8.2': 3,
  'valkey-8': 3,
  'valkey-9': 3,
};

/** Where the data was said in commands, when consumers were last seen is not compared: no command can say it. */
async function heldBy(redis: Redis, from: Flavour, way = ''): Promise<Held> {
  const [, dir] = (await redis.config('GET', 'dir')) as [string, string];
  const [, name] = (await redis.config('GET', 'dbfilename')) as [string, string];
  await redis.save();
  const contents = new Map<string, string>();
  const digest = new ContentDigest({ streamDetail: streamDetail[from], consumerTimes: way !== 'commands' });
  let key = '';
  await walkRdb(
    { path: join(dir, name) },
    {
      key: (entry) => {
        key = `${entry.db} ${entry.copyKey().toString('latin1')}`;
        digest.begin(entry.type as 'string');
        return isDecoded(entry.type) ? digest : null;
      },
      keyEnd: ({ expireAtMs }) => void contents.set(key, digest.end(expireAtMs)),
    },
  );
  const libraries = ((await redis.call('FUNCTION', 'LIST', 'WITHCODE').catch(() => [])) as unknown[]).map((library) =>
    JSON.stringify(library),
  );
  // A sandbox does not let anybody DEBUG.
  const own = way === 'sandbox' ? '' : String(await redis.call('DEBUG', 'DIGEST'));
  return { digest: own, contents, functions: libraries.sort().join() };
}

/** An empty server of this kind, used again and again. */
async function emptyTarget(flavour: Flavour): Promise<Side> {
  const side = targets.get(flavour) ?? (await stage.side(flavour));
  targets.set(flavour, side);
  await side.redis.flushall();
  if (flavour !== 'redis-6.2') await side.redis.call('FUNCTION', 'FLUSH');
  return side;
}

async function folder(): Promise<string> {
  const own = await temporaryFolder('properties');
  undo.push(() => own.remove());
  return own.path;
}

async function started(flavour: Flavour, dir: string, appendonly: 'yes' | 'no'): Promise<Redis> {
  const server = await startRedis({ flavour, dir, config: { ...debugAllowed(flavour), appendonly } });
  undo.push(() => server.stop());
  const redis = await connectTo(server);
  undo.push(() => redis.disconnect());
  return redis;
}

type Way = (dump: string, from: Flavour, to: Flavour) => Promise<Held>;

const ways: Readonly<Record<string, Way>> = {
  'keys sliced out': async (dump, from, to) => {
    const target = await emptyTarget(to);
    await put(await stage.task(dump, target));
    return heldBy(target.redis, from);
  },
  commands: async (dump, from, to) => {
    const target = await emptyTarget(to);
    await put(await stage.task(dump, target, { by: 'commands' }));
    return heldBy(target.redis, from, 'commands');
  },
  'as a primary': async (dump, from, to) => {
    const target = await emptyTarget(to);
    const facts = factsOf(await inspectRdb({ path: dump }));
    const url = `redis://127.0.0.1:${target.server.port}`;
    await streamAsPrimary({ dumpPath: dump, facts, target: { url }, home: await folder() }, io);
    return heldBy(target.redis, from);
  },
  'files, no append-only file': (dump, from, to) => placed(dump, from, to, false),
  'files, append-only file': (dump, from, to) => placed(dump, from, to, true),
  sandbox: async (dump, from, to) => {
    const home = await folder();
    const copy = join(home, 'dump.rdb');
    await copyFile(dump, copy);
    const [server] = await findServers([redisBinary(to)]);
    const id = 'property';
    undo.push(() => stopSandbox(home, id));
    await startSandbox({ id, dumpPath: copy, server: server!, home, databases: 16, maxMemoryBytes: 1e9 }, io);
    return withRedis((await sandboxTarget(home, id))!, (redis) => heldBy(redis, from, 'sandbox'));
  },
};

async function placed(dumpPath: string, from: Flavour, to: Flavour, aof: boolean): Promise<Held> {
  const [server] = await findServers([redisBinary(to)]);
  const dir = join(await folder(), 'placed');
  await placeFiles({ dumpPath, dir, aof, server: server! }, io);
  return heldBy(await started(to, dir, aof ? 'yes' : 'no'), from);
}

/** What a server of this kind makes of the dump by itself. */
async function nativeLoad(dump: string, from: Flavour, to: Flavour): Promise<{ exact: Held; said: Held }> {
  const dir = join(await folder(), 'native');
  await mkdir(dir);
  await copyFile(dump, join(dir, 'dump.rdb'));
  const redis = await started(to, dir, 'no');
  return { exact: await heldBy(redis, from), said: await heldBy(redis, from, 'commands') };
}

const rows = flavours.flatMap((from) =>
  Array.from({ length: Math.max(1, rounds) }, (_, round) => ({ from, round, seed: seed + round })),
);

describe.each(rows)('$from, data set $seed', ({ from, seed: own }) => {
  test.skipIf(missingFlavour(from))(
    'is the same by whatever way it is restored',
    async () => {
      const random = new Random(own);
      const source = await stage.side(from);
      await fillByChance(source.redis, { flavour: from, seed: own, commands: random.between(60, 1500) });
      await source.redis.save();
      const dump = join(await folder(), 'backup.rdb');
      await copyFile(join(source.server.dir, 'dump.rdb'), dump);
      const there = await heldBy(source.redis, from);
      await source.server.stop();
      const all = upward[from].filter((flavour) => missingFlavour(flavour) === undefined);
      for (const to of rounds > 0 ? all : [random.pick(all)]) {
        const native = await nativeLoad(dump, from, to);
        if (to === from) expect(native.exact.digest, `${from}, loaded again (seed ${own})`).toBe(there.digest);
        expect(differing(native.exact.contents, there.contents), `${from}, loaded by ${to} (seed ${own})`).toEqual([]);
        for (const [way, restore] of Object.entries(ways)) {
          const held = await restore(dump, from, to);
          const expected = way === 'commands' ? native.said : native.exact;
          if (way !== 'sandbox') expect(held.digest, `${from} to ${to}, ${way} (seed ${own})`).toBe(expected.digest);
          expect(differing(held.contents, expected.contents), `${from} to ${to}, ${way} (seed ${own})`).toEqual([]);
          expect(held.functions, `${from} to ${to}, ${way} (seed ${own})`).toBe(expected.functions);
        }
      }
    },
    600_000,
  );
});

function differing(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): string[] {
  return [...new Set([...a.keys(), ...b.keys()])].filter((key) => a.get(key) !== b.get(key));
}
