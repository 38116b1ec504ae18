import { createWriteStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Redis } from 'ioredis';
import { aofForm } from '../../archive/read/aof-form.ts';
import { findMoment } from '../../archive/read/find-moment.ts';
import { layDown } from '../../archive/read/lay-down.ts';
import { momentBytes } from '../../archive/read/moment.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { ArchiveCutter } from '../../test/support/archive-cutter.ts';
import { connectTo } from '../../test/support/dataset.ts';
import { startRedis } from '../../test/support/servers.ts';
import { fillServer } from './dataset.ts';
import { Random } from './random.ts';
import { atMost, compared, megabytes, table, timed } from './report.ts';
import type { Stage } from './stage.ts';
import { type Contender, inTurn, ratioOf, secondsOf } from './turns.ts';

const io = { signal: new AbortController().signal, onProgress: () => undefined };
const mostOfNative = 1.25;
/** As the follower cuts them. */
const segmentBytes = 4 * 1024 * 1024;
const loadWithinMs = 1_800_000;

/**
 * A moment from the store into a folder, until a plain server that was started there has loaded it; beside the same files
 * as two objects, only downloaded, and loaded by the same server.
 */
export async function benchMoment(stage: Stage, rounds: number): Promise<string> {
  const { bucket, endpoint, region, kmsKeyId } = await stage.minio();
  const url = `s3://${bucket}/moment-${Date.now()}`;
  const encryption = { sse: 'aws:kms', kmsKeyId } as const;
  const repository = await openRepository({ url, endpoint, region, pathStyle: true, encryption });
  const place = { repository, instance: 'orders' };
  const folder = join(await stage.folder(), 'moment');
  const keys = await writeArchive(repository, stage.keys);
  const moment = await findMoment(place, { kind: 'latest' });
  const form = aofForm(moment);
  const whole = join(folder, 'whole');
  await layDown(place, moment, whole, io);
  const names = [form.base, form.incr];
  for (const name of names) {
    const path = join(whole, form.folder, name);
    await repository.putFile(`bare/${name}`, { path }, { sizeBytes: (await stat(path)).size, signal: io.signal });
  }

  const ours: Contender = {
    name: 'find the moment, lay it down, start',
    once: async () => {
      const dir = join(folder, 'ours');
      return inFolder(dir, async () => {
        await layDown(place, await findMoment(place, { kind: 'latest' }), dir, io);
        await load(dir, keys);
      });
    },
  };
  const bare: Contender = {
    name: 'download the same files, start',
    once: async () => {
      const dir = join(folder, 'bare');
      return inFolder(dir, async () => {
        await mkdir(join(dir, form.folder), { recursive: true });
        const fetch = async (name: string) => {
          const target = createWriteStream(join(dir, form.folder, name));
          await pipeline(await repository.read(`bare/${name}`), target);
        };
        await Promise.all(names.map(fetch));
        await pipeline(
          [form.manifest?.text ?? ''],
          createWriteStream(join(dir, form.folder, form.manifest?.name ?? '')),
        );
        await load(dir, keys);
      });
    },
  };
  const [mine, theirs] = await inTurn([ours, bare], rounds);
  repository.close();
  await rm(folder, { recursive: true, force: true });
  const [incr] = moment.legs;
  return table(
    `A moment into a folder, until a server has loaded it: base ${megabytes(moment.base.sizeBytes)}, commands ${megabytes((incr?.to ?? 0) - (incr?.from ?? 0))}, ${keys} keys`,
    [
      { what: bare.name, figure: timed(theirs!) },
      {
        what: ours.name,
        figure: `${timed(mine!)}, ${megabytes(momentBytes(moment))}`,
        ratio: compared(mine!, theirs!),
        goal: atMost(ratioOf(mine!, theirs!), mostOfNative),
      },
    ],
  );
}

/** Two thirds of the keys are in the base, what came since in segments. @returns how many keys there are in the end */
async function writeArchive(repository: Repository, keys: number): Promise<number> {
  const cutter = new ArchiveCutter(repository, { segmentBytes: () => segmentBytes });
  const server = await startRedis({
    config: {
      appendonly: 'yes',
      appendfsync: 'no',
      'auto-aof-rewrite-percentage': '0',
      'aof-disable-auto-gc': 'yes',
      'aof-timestamp-enabled': 'yes',
    },
  });
  const redis = await connectTo(server);
  try {
    await fillServer(server.port, { keys: Math.ceil((keys * 2) / 3) });
    await redis.bgrewriteaof();
    while (/aof_rewrite_(in_progress|scheduled):1/.test(await redis.info('persistence'))) await redis.ping();
    await cutter.begin('first');
    await writeMore(redis, Math.ceil(keys / 3));
    await cutter.look(server.dir);
    return await redis.dbsize();
  } finally {
    redis.disconnect();
    await server.stop();
  }
}

/** Commands of every day, a thousand at a time. */
async function writeMore(redis: Redis, keys: number): Promise<void> {
  const random = new Random(2);
  for (let from = 0; from < keys; from += 1_000) {
    const batch = redis.pipeline();
    for (let i = from; i < Math.min(keys, from + 1_000); i++) {
      batch.set(`since:${i}`, random.bytes(random.between(20, 300)));
      batch.hset(`counts:${i % 1_000}`, `field:${i}`, i);
    }
    await batch.exec();
  }
}

async function inFolder(dir: string, work: () => Promise<void>): Promise<number> {
  await rm(dir, { recursive: true, force: true });
  const seconds = await secondsOf(work);
  await rm(dir, { recursive: true, force: true });
  return seconds;
}

async function load(dir: string, keys: number): Promise<void> {
  const config = { appendonly: 'yes', 'auto-aof-rewrite-percentage': '0' };
  const server = await startRedis({ dir, config, timeoutMs: loadWithinMs });
  const redis = await connectTo(server);
  const found = await redis.dbsize();
  redis.disconnect();
  await server.stop();
  if (found !== keys) throw new Error(`${found} keys were loaded, ${keys} are there`);
}
