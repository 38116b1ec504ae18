import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Random } from '../../scripts/bench/random.ts';
import { debugAllowed } from './data-digest.ts';
import { connectTo } from './dataset.ts';
import type { ArchiveMaker } from './moment-archive.ts';
import { MomentWriter, type WrittenOperation } from './moment-writer.ts';
import { type Flavour, type RedisServer, startRedis } from './servers.ts';

export interface MomentStream {
  readonly operations: readonly WrittenOperation[];
  /** Commands that the servers took, as their own tables name them. */
  readonly taken: ReadonlySet<string>;
  readonly rewrites: number;
  readonly restarts: number;
  readonly kills: number;
  readonly promotions: number;
}

/** A write stands in the file before it is answered: what a killed process wrote is the kernel's. */
const settings = {
  appendonly: 'yes',
  appendfsync: 'no',
  'aof-timestamp-enabled': 'yes',
  'auto-aof-rewrite-percentage': '0',
  'repl-diskless-sync-delay': '0',
};

/** Writes to a server of a flavour, with rewrites, restarts, deaths and promotions in between, each by chance. */
export async function writeByChance(
  flavour: Flavour,
  maker: ArchiveMaker,
  random: Random,
  count: number,
): Promise<MomentStream> {
  const config = { ...settings, ...debugAllowed(flavour), ...maker.config };
  const elsewhere = await startRedis({ flavour });
  const writer = new MomentWriter(random, elsewhere.port);
  let server = await startRedis({ flavour, config });
  let redis = await connectTo(server);
  let other = await connectTo(server);
  const reconnect = async (to: RedisServer) => {
    redis.disconnect();
    other.disconnect();
    server = to;
    [redis, other] = [await connectTo(to), await connectTo(to)];
    writer.reconnected();
  };
  const did = { rewrites: 0, restarts: 0, kills: 0, promotions: 0 };
  try {
    await maker.begin(server);
    for (let i = 0; i < count; i++) {
      await writer.step(redis, other);
      const event = random.below(150);
      if (event < 3) {
        did.rewrites += 1;
        await maker.look(server);
        await rewriteWhileWriting(redis, server.dir, () => writer.step(redis, other));
        await maker.look(server);
      } else if (event < 6) {
        await maker.look(server);
        if (event === 3) {
          did.restarts += 1;
          await redis.shutdown('NOSAVE').catch(() => undefined);
        } else {
          did.kills += 1;
          await server.kill9();
        }
        await server.restart();
        await reconnect(server);
      } else if (event === 6) {
        did.promotions += 1;
        await maker.look(server);
        const old = server;
        const promoted = await promote(flavour, config, server, redis, (replica) =>
          maker.beforePromotion(old, redis, replica),
        );
        await maker.promoted(promoted);
        await reconnect(promoted);
        await old.stop();
      } else if (event < 25) await maker.look(server);
    }
    await maker.end(server);
    return { operations: writer.operations, taken: writer.taken, ...did };
  } finally {
    redis.disconnect();
    other.disconnect();
    await server.stop();
    await elsewhere.stop();
  }
}

async function rewriteWhileWriting(redis: Redis, dir: string, step: () => Promise<void>): Promise<void> {
  const manifest = () => readFile(join(dir, 'appendonlydir', 'appendonly.aof.manifest'), 'utf8').catch(() => '');
  const before = await manifest();
  await redis.bgrewriteaof();
  do await step();
  while (
    /aof_rewrite_(in_progress|scheduled):1/.test(await redis.info('persistence')) ||
    (await manifest()) === before
  );
}

/** A replica that has everything becomes the primary; its file begins with a base of its own. */
async function promote(
  flavour: Flavour,
  config: Readonly<Record<string, string>>,
  primary: RedisServer,
  live: Redis,
  whenFollowed: (replica: RedisServer) => Promise<void>,
): Promise<RedisServer> {
  const replica = await startRedis({ flavour, config });
  const redis = await connectTo(replica);
  const replication = () => redis.info('replication');
  await redis.replicaof('127.0.0.1', primary.port);
  await untilSo(async () => /master_link_status:up/.test(await replication()));
  const want = Number(/master_repl_offset:(\d+)/.exec(await live.info('replication'))?.[1]);
  await untilSo(async () => Number(/slave_repl_offset:(\d+)/.exec(await replication())?.[1]) >= want);
  await whenFollowed(replica);
  await redis.replicaof('NO', 'ONE');
  await untilSo(async () => !/aof_rewrite_(in_progress|scheduled):1/.test(await redis.info('persistence')));
  redis.disconnect();
  return replica;
}

async function untilSo(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 120_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error('the replica does not become what it is to be');
    await sleep(10);
  }
}
