import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findMoment, type MomentAsked } from '../../archive/read/find-moment.ts';
import { layDown } from '../../archive/read/lay-down.ts';
import type { Moment } from '../../archive/read/moment.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { ArchiveCutter } from '../support/archive-cutter.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo } from '../support/dataset.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const withAof = {
  ...debugAllowed(),
  appendonly: 'yes',
  appendfsync: 'always',
  'aof-timestamp-enabled': 'yes',
  'aof-disable-auto-gc': 'yes',
  'auto-aof-rewrite-percentage': '0',
};
const io = { signal: new AbortController().signal, onProgress: () => undefined };

let folder: TemporaryFolder;
let repository: Repository;

beforeAll(async () => {
  folder = await temporaryFolder('archive');
  const url = `file://${join(folder.path, 'repository')}`;
  repository = await openRepository({ url, encryption: { sse: 'none' } } as Parameters<typeof openRepository>[0]);
});
afterAll(() => folder.remove());

const find = (instance: string, asked: MomentAsked, timeline?: number): Promise<Moment> =>
  findMoment({ repository, instance }, asked, { timeline });

/** The digest of a plain server that was started on what was laid down. */
async function digestOf(instance: string, moment: Moment): Promise<string> {
  const dir = join(folder.path, `laid-${Math.random().toString(36).slice(2)}`);
  await layDown({ repository, instance }, moment, dir, io);
  const server = await startRedis({ dir, config: { ...debugAllowed(), appendonly: 'yes' } });
  try {
    const redis = await connectTo(server);
    const digest = String(await redis.call('DEBUG', 'DIGEST'));
    redis.disconnect();
    return digest;
  } finally {
    await server.stop();
    await rm(dir, { recursive: true });
  }
}

async function send(servers: readonly RedisServer[], commands: readonly (readonly (string | number)[])[]) {
  for (const server of servers) {
    const redis = await connectTo(server);
    for (const [verb, ...args] of commands) await redis.call(String(verb), ...args);
    redis.disconnect();
  }
}

const before = [
  ['SET', 'a', '1'],
  ['SELECT', 3],
  ['RPUSH', 'list', 'x', 'y\r\n\0z'],
  ['SELECT', 0],
  ['INCRBY', 'n', 5],
] as const;
const after = [
  ['SET', 'b', '2'],
  ['INCRBY', 'n', 7],
  ['SELECT', 3],
  ['RPUSH', 'list', 'after'],
] as const;

test('of several destructive commands in a row the newest is meant, and the position before all of them told', async () => {
  const live = await startRedis({ config: withAof });
  const reference = await startRedis({ config: debugAllowed() });
  try {
    const cutter = new ArchiveCutter(repository, { instance: 'row' });
    await cutter.begin('first');
    await send([live, reference], before);
    await send([live], [['SELECT', 3], ['FLUSHDB'], ['SELECT', 0], ['FLUSHDB']]);
    await cutter.look(live.dir);
    const newest = await find('row', { kind: 'before-flush' });
    const told = newest.tells.find((each) => /last of 2 that followed one another; the first is FLUSHDB/.test(each));
    const position = Number(/all of them is position (\d+);/.exec(told ?? '')?.[1]);
    expect(position).toBeLessThan(newest.position);
    const first = await find('row', { kind: 'position', position });
    expect(await digestOf('row', first)).toBe(await dataDigest(reference));
    expect(await digestOf('row', newest)).not.toBe(await dataDigest(reference));
  } finally {
    for (const server of [live, reference]) await server.stop();
  }
});

test('what was there right before a FLUSHALL is laid down, and a plain server starts from it', async () => {
  const live = await startRedis({ config: withAof });
  const reference = await startRedis({ config: debugAllowed() });
  const undone = await startRedis({ config: debugAllowed() });
  try {
    const cutter = new ArchiveCutter(repository, { instance: 'flushed', segmentBytes: () => 60 });
    await cutter.begin('first');
    await send([live, reference, undone], before);
    await cutter.look(live.dir);
    const expected = await dataDigest(reference);
    await send([live], [['FLUSHALL']]);
    await send([live, undone], after);
    await cutter.look(live.dir);

    const moment = await find('flushed', { kind: 'before-flush' });
    expect(await digestOf('flushed', moment)).toBe(expected);
    expect(await digestOf('flushed', await find('flushed', { kind: 'latest' }))).toBe(await dataDigest(live));

    // Only that command undone: all but it is replayed.
    const flush = cutter.units.find(({ name }) => name === 'flushall')!;
    const whole = { ...(await find('flushed', { kind: 'latest' })), omit: [flush] };
    expect(await digestOf('flushed', whole)).toBe(await dataDigest(undone));
    const half = { ...whole, omit: [{ start: flush.start, end: flush.end + 1 }] };
    await expect(digestOf('flushed', half)).rejects.toThrow(/not one whole command/);
  } finally {
    for (const server of [live, reference, undone]) await server.stop();
  }
});
