import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import type { Redis } from 'ioredis';
import { followAof } from '../../archive/follow/follow-aof.ts';
import type { FollowFigures, FollowIO, FollowOptions } from '../../archive/follow/follow-options.ts';
import {
  basesDirectory,
  eventsDirectory,
  parseBaseRecordKey,
  parseEventKey,
  parseSegmentKey,
  segmentsDirectory,
  timelinesDirectory,
} from '../../archive/layout.ts';
import { findMoment, type MomentAsked } from '../../archive/read/find-moment.ts';
import { layDown } from '../../archive/read/lay-down.ts';
import {
  type BaseRecord,
  baseSchema,
  decodeRecord,
  type EventRecord,
  eventSchema,
  recordBytes,
  type TimelineRecord,
  timelineSchema,
} from '../../archive/records.ts';
import { decodeSegment, type Segment } from '../../archive/segment.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import type { InstancePolicy } from '../../policy/instance-policy.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { dataDigest, debugAllowed } from './data-digest.ts';
import { type Flavour, startRedis } from './servers.ts';
import { temporaryFolder } from './temporary-folder.ts';

export const instance = 'orders';

/** Until all that was answered is in the file: with an fsync under way Redis writes up to two seconds later. */
export const inTheFile = (redis: Redis) =>
  until('Redis has written it to its file', async () =>
    /^aof_buffer_length:0\r$/m.test(await redis.info('persistence')),
  );

/** A server that can be followed: everything that a rewrite needs to be asked for by the test itself. */
export const followable = { appendonly: 'yes', 'aof-timestamp-enabled': 'yes', 'auto-aof-rewrite-percentage': '0' };

/** Short enough for a test; whatever they are set to, no test's outcome depends on them. */
export const quick: Partial<FollowOptions> = {
  ...{ pollMs: 10, askMs: 50, doubtMs: 500, segmentMs: 100, retryMs: 50, retryMostMs: 500 },
};

export async function archiveContext(
  server: { url: string },
  folders: { home: string; repository: string },
): Promise<InstanceContext> {
  const policy = { instance, topology: { replicas: [] as string[] } } as unknown as InstancePolicy;
  const repository = await openRepository({ url: pathToFileURL(folders.repository).href, pathStyle: false });
  return { policy, target: { url: server.url }, repository, home: folders.home };
}

export interface Following {
  figures(): FollowFigures | undefined;
  /** Ends it, and waits for its end. */
  stop(): Promise<FollowFigures>;
  /** What it ended with by itself. */
  readonly ended: Promise<FollowFigures>;
}

/** Follows in this process until it is stopped. */
export function follow(
  context: InstanceContext,
  options: Partial<FollowOptions> = {},
  hooks: Pick<FollowIO, 'onDestructive'> = {},
): Following {
  const told = new AbortController();
  let figures: FollowFigures | undefined;
  const io = {
    ...hooks,
    signal: told.signal,
    onProgress: () => undefined,
    onFigures: (next: FollowFigures) => {
      figures = next;
    },
  };
  const ended = followAof(context, io, { ...quick, ...options });
  ended.catch(() => undefined);
  return {
    figures: () => figures,
    ended,
    stop: () => {
      told.abort();
      return ended;
    },
  };
}

/** All that an archive holds, in the order of timelines and positions. */
export interface Archived {
  readonly timelines: readonly TimelineRecord[];
  readonly segments: readonly Segment[];
  readonly bases: readonly BaseRecord[];
  readonly events: readonly EventRecord[];
}

export async function readArchive(repository: Repository): Promise<Archived> {
  const timelines: TimelineRecord[] = [];
  for (const key of await keys(repository, timelinesDirectory(instance))) {
    timelines.push(decodeRecord(timelineSchema, await repository.readSmall(key, recordBytes), key));
  }
  const segments: Segment[] = [];
  const bases: BaseRecord[] = [];
  const events: EventRecord[] = [];
  for (const { timeline } of timelines) {
    for (const key of await keys(repository, segmentsDirectory(instance, timeline))) {
      if (parseSegmentKey(key, instance, timeline) === undefined) continue;
      segments.push(decodeSegment(await repository.readSmall(key, 2 ** 30), key));
    }
    for (const key of await keys(repository, basesDirectory(instance, timeline))) {
      if (parseBaseRecordKey(key, instance, timeline) === undefined) continue;
      bases.push(decodeRecord(baseSchema, await repository.readSmall(key, recordBytes), key));
    }
    for (const key of await keys(repository, eventsDirectory(instance, timeline))) {
      if (parseEventKey(key, instance, timeline) === undefined) continue;
      events.push(decodeRecord(eventSchema, await repository.readSmall(key, recordBytes), key));
    }
  }
  return { timelines, segments, bases, events };
}

/** The bytes of a timeline from a base on, whose chain holds; throws where it does not. */
export function chainedBytes({ segments, events }: Archived, timeline: number, from = 0): Buffer {
  const parts: Buffer[] = [];
  let end: number | undefined;
  let digest: string | null = null;
  for (const { header, body, digest: own } of segments) {
    if (header.timeline !== timeline || header.start < from) continue;
    const gap = events.some(({ kind, until }) => kind === 'gap' && until?.position === header.start);
    const broken = header.previous === null && (end === undefined || gap);
    if (!broken && (header.previous !== digest || header.start !== end)) {
      throw new Error(`the chain breaks at ${header.start}: ${header.previous} after ${digest} at ${end}`);
    }
    parts.push(Buffer.from(body));
    end = header.end;
    digest = own;
  }
  return Buffer.concat(parts);
}

async function keys(repository: Repository, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { key } of repository.list(prefix)) found.push(key);
  return found.sort();
}

/** Asks again until it holds; the limit is generous because the machine may be busy. */
export async function until<T>(what: string, ask: () => Promise<T | undefined | false>, withinMs = 60_000): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(20);
  }
}

/** The digest of what a plain server holds that starts from the newest moment of the archive. */
export function latestDigest(context: InstanceContext, flavour?: Flavour): Promise<string> {
  return digestAt(context, { kind: 'latest' }, { flavour });
}

/** The digest of what a plain server holds that starts from a moment of the archive. */
export async function digestAt(
  { repository }: InstanceContext,
  asked: MomentAsked,
  { timeline, flavour }: { timeline?: number; flavour?: Flavour | undefined } = {},
): Promise<string> {
  const place = { repository, instance };
  await using folder = await temporaryFolder('archive-moment');
  const moment = await findMoment(place, asked, timeline === undefined ? {} : { timeline });
  await layDown(place, moment, folder.path, { signal: new AbortController().signal, onProgress: () => undefined });
  const config = { appendonly: 'yes', ...debugAllowed(flavour) };
  const server = await startRedis({ dir: folder.path, config, ...(flavour ? { flavour } : {}) });
  return dataDigest(server).finally(() => server.stop());
}

/** As `rewritten`, and then until the follower holds the file that Redis appends to now: busy machines look late. */
export async function rewrittenAndHeld(redis: Redis, dir: string): Promise<void> {
  await rewritten(redis);
  const manifest = await readFile(join(dir, 'appendonlydir', 'appendonly.aof.manifest'), 'utf8');
  const name = manifest.trim().split('\n').at(-1)?.split(' ')[1] ?? '';
  await until(`${name} is held`, async () =>
    (await readdir(join(dir, '.rewind', 'aof')).catch(() => [])).some((each) => each.endsWith(`-${name}`)),
  );
}

/** Waits until a rewrite has ended. */
export async function rewritten(redis: Redis): Promise<void> {
  await redis.bgrewriteaof();
  await until('the rewrite', async () => {
    const info = await redis.info('persistence');
    return !/aof_rewrite_in_progress:1|aof_rewrite_scheduled:1/.test(info) && /aof_last_bgrewrite_status:ok/.test(info);
  });
}
