import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { ContentDigest, type DigestOptions } from '../../rdb/content-digest.ts';
import type { RdbEntry } from '../../rdb/entry.ts';
import { isDecoded } from '../../rdb/types.ts';
import { walkRdb } from '../../rdb/walk.ts';
import { parseInfo, serverVersion } from '../../redis/info.ts';
import { readLiveKey } from '../../redis/live-content.ts';
import { cannotSay, unsayable } from '../../restore/commands/cannot-say.ts';
import { CommandEncoder } from '../../restore/commands/command-encoder.ts';
import type { CommandFacts } from '../../restore/commands/command-facts.ts';
import { surveyForCommands } from '../../restore/commands/command-survey.ts';
import type { CommandTarget } from '../../restore/commands/command-target.ts';
import { fillServer } from '../../scripts/bench/dataset.ts';
import { addAwkwardValues, farExpiry } from '../support/command-cases.ts';
import { connectTo } from '../support/dataset.ts';
import { type Flavour, missingFlavour, type RedisServer, startRedis } from '../support/servers.ts';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(flavour: Flavour): Promise<{ server: RedisServer; redis: Redis; target: CommandTarget }> {
  const server = await startRedis({ flavour });
  undo.push(() => server.stop());
  const redis = await connectTo(server);
  undo.push(() => redis.disconnect());
  return { server, redis, target: serverVersion(parseInfo(await redis.info('server'))) };
}

const withFieldExpiries = new Set<Flavour>(['redis-8.2', 'valkey-9']);
const withoutCounters = new Set<Flavour>(['redis-6.2']);
/** Where they stand in the dump, by type code: REDIS 24 and 25, VALKEY 22. */
const expiringFields = new Set([22, 24, 25]);

interface DumpKey {
  readonly db: number;
  readonly key: Buffer;
  readonly type: string;
  readonly typeCode: number;
  readonly digest: string;
}

async function keysOf(dump: string, options: DigestOptions): Promise<DumpKey[]> {
  const keys: DumpKey[] = [];
  const digest = new ContentDigest(options);
  let key: Buffer = Buffer.alloc(0);
  await walkRdb(
    { path: dump },
    {
      key: (entry) => {
        key = entry.copyKey();
        if (!isDecoded(entry.type)) return null;
        digest.begin(entry.type);
        return digest;
      },
      keyEnd: ({ db, type, typeCode, expireAtMs }) =>
        keys.push({ db, key, type, typeCode, digest: digest.end(expireAtMs) }),
    },
  );
  return keys;
}

interface Sent {
  readonly commands: number;
  readonly longestArgs: number;
  readonly longestBytes: number;
  readonly errors: readonly string[];
}

/** Sends a dump to a server in commands. */
async function send(dump: string, redis: Redis, target: CommandTarget, facts?: CommandFacts): Promise<Sent> {
  const encoder = new CommandEncoder(target, { facts });
  const sent = { commands: 0, longestArgs: 0, longestBytes: 0, errors: [] as string[] };
  const answers: Promise<unknown>[] = [];
  let db = -1;
  const emit = (args: readonly (Buffer | string)[]) => {
    sent.commands++;
    sent.longestArgs = Math.max(sent.longestArgs, args.length);
    sent.longestBytes = Math.max(
      sent.longestBytes,
      args.reduce((sum, arg) => sum + arg.length, 0),
    );
    const [verb, ...rest] = args;
    const refused = (error: Error) => sent.errors.push(`${verb} ${String(rest[0])}: ${error.message}`);
    answers.push(redis.callBuffer(verb as string, ...rest).catch(refused));
  };
  await walkRdb(
    { path: dump },
    {
      key: (entry: RdbEntry) => {
        if (!isDecoded(entry.type)) return null;
        if (entry.db !== db) {
          db = entry.db;
          answers.push(redis.select(db));
        }
        encoder.begin(entry, entry.expireAtMs, emit);
        return encoder;
      },
      keyEnd: (entry) => {
        if (isDecoded(entry.type)) encoder.end();
      },
    },
  );
  await Promise.all(answers);
  return sent;
}

const sources: Flavour[] = ['redis-8.2', 'valkey-9', 'redis-7.0', 'valkey-8', 'redis-6.2'];
const targets: Flavour[] = ['redis-6.2', 'redis-7.0', 'valkey-8', 'valkey-9', 'redis-8.2'];
const pairs = sources.flatMap((from) => targets.filter((to) => to !== from).map((to) => [from, to] as const));

describe.each(pairs)('a dump of %s sent to %s in commands', (from, to) => {
  test.skipIf(missingFlavour(from) || missingFlavour(to))(
    'gives every key that can be said the content that it has in the dump',
    async () => {
      const source = await start(from);
      await fillServer(source.server.port, { keys: 1_200, seed: 31 });
      await addAwkwardValues(source.redis, { fieldExpiries: withFieldExpiries.has(from) });
      await source.redis.save();
      const dump = join(source.server.dir, 'dump.rdb');
      const { redis, target } = await start(to);
      const facts = await surveyForCommands({ path: dump });
      const streamDetail = withoutCounters.has(from) || withoutCounters.has(to) ? 1 : 2;
      const options = { streamDetail, consumerTimes: false } as const;
      const keys = await keysOf(dump, options);
      expect(keys.length).toBeGreaterThan(1_230);
      expect(facts.keys).toBe(keys.length);
      expect(facts.streams.deletedPending).toBeGreaterThanOrEqual(20);

      const sent = await send(dump, redis, target, facts);
      expect(sent.errors).toEqual([]);
      expect(sent.longestArgs).toBeLessThanOrEqual(2 + 2 * 512);
      expect(sent.longestBytes).toBeLessThan(4.1 * 1024 * 1024);

      const lost = new Set<DumpKey>();
      if (!withFieldExpiries.has(to)) {
        for (const key of keys) if (key.type === 'hash' && expiringFields.has(key.typeCode)) lost.add(key);
        expect(lost.size).toBe(withFieldExpiries.has(from) ? 3 : 0);
      }
      expect(unsayable(target, facts).filter(({ loses }) => loses !== 'detail')).toHaveLength(lost.size > 0 ? 1 : 0);
      const different: string[] = [];
      for (const key of keys) {
        const live = await readLiveKey(redis, key.db, key.key, options);
        const same = live.state === 'present' && live.digest === key.digest;
        if (same === lost.has(key))
          different.push(`${key.db}/${key.key.toString('latin1').slice(0, 40)}: ${live.state}`);
      }
      expect(different).toEqual([]);
      expect(await allKeys(redis)).toBe(keys.length);
    },
    120_000,
  );
});

async function allKeys(redis: Redis): Promise<number> {
  const info = parseInfo(await redis.info('keyspace'));
  return Object.values(info).reduce((sum, text) => sum + Number(/keys=(\d+)/.exec(text)?.[1] ?? 0), 0);
}

test('without the survey, entries that are pending and deleted are the only ones that do not come back', async () => {
  const source = await start('redis-7.0');
  await addAwkwardValues(source.redis, { fieldExpiries: false });
  await source.redis.save();
  const dump = join(source.server.dir, 'dump.rdb');
  const { redis, target } = await start('redis-7.0');
  const sent = await send(dump, redis, target);
  expect(sent.errors).toEqual([]);
  const options = { streamDetail: 2, consumerTimes: false } as const;
  const different: string[] = [];
  for (const { db, key, digest } of await keysOf(dump, options)) {
    const live = await readLiveKey(redis, db, key, options);
    if (live.state !== 'present' || live.digest !== digest) different.push(key.toString('latin1'));
  }
  expect(different.sort()).toEqual(['stream', 'stream:all-deleted', 'stream:all-trimmed', 'stream:trimmed-pending']);
});

test('expiries of fields are said, moved or left out as the restore wants them', async ({ skip }) => {
  const missing = missingFlavour('redis-8.2');
  if (missing) skip(missing);
  const { server, redis, target } = await start('redis-8.2');
  await redis.hset('hash', 'a', '1', 'b', '2');
  await redis.call('HPEXPIREAT', 'hash', farExpiry, 'FIELDS', 1, 'a');
  await redis.save();
  for (const [fieldExpiry, expected] of [
    [(atMs: number) => atMs + 5, farExpiry + 5],
    [() => -1, -1],
  ] as const) {
    await redis.flushall();
    const encoder = new CommandEncoder(target, { fieldExpiry });
    const commands: (readonly (Buffer | string)[])[] = [];
    await walkRdb(
      { path: join(server.dir, 'dump.rdb') },
      {
        key: (entry) => {
          encoder.begin(entry, -1, (args) => commands.push(args), Buffer.from('other'));
          return encoder;
        },
        keyEnd: () => encoder.end(),
      },
    );
    for (const [verb, ...args] of commands) await redis.call(verb as string, ...args);
    expect(await redis.call('HPEXPIRETIME', 'other', 'FIELDS', 2, 'a', 'b')).toEqual([expected, -1]);
  }
});

test('a server that is too old for this way is named before anything is touched', async () => {
  const { server, redis } = await start('redis-7.0');
  await redis.set('a', '1');
  await redis.call('FUNCTION', 'LOAD', "#!lua name=lib\nredis.register_function('f', function() return 1 end)");
  await redis.xadd('s', '*', 'a', 'b');
  await redis.xgroup('CREATE', 's', 'g', '0');
  await redis.xgroup('CREATECONSUMER', 's', 'g', 'c');
  await redis.save();
  const facts = await surveyForCommands({ path: join(server.dir, 'dump.rdb') });
  expect(cannotSay({ name: 'redis', version: '6.0.20' }, facts)[0]).toMatch(/2 keys cannot be sent to redis 6\.0\.20/);
  const sixTwo = cannotSay({ name: 'redis', version: '6.2.14' }, facts);
  expect(sixTwo[0]).toBe('1 function library cannot be loaded: redis 6.2.14 has no functions.');
  expect(sixTwo.join('\n')).toMatch(/1 consumer of streams will look as if last seen at the time of the restore/);
  expect(cannotSay({ name: 'valkey', version: '8.1.0' }, facts)).toHaveLength(1);
});
