import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { segmentsDirectory } from '../../archive/layout.ts';
import { findMoment } from '../../archive/read/find-moment.ts';
import { layDown } from '../../archive/read/lay-down.ts';
import { decodeSegment } from '../../archive/segment.ts';
import { findOnPath } from '../../process/program-path.ts';
import { connectRedis } from '../../redis/connection.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { Random } from '../../scripts/bench/random.ts';
import { ArchiveCutter } from '../support/archive-cutter.ts';
import { debugAllowed } from '../support/data-digest.ts';
import { connectTo } from '../support/dataset.ts';
import { MomentWriter, marker, sendOne, type WrittenOperation } from '../support/moment-writer.ts';
import { type RedisServer, redisBinary, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** `npm run test:moments` takes thousands; `npm test` a slice. */
const moments = Number(process.env.REWIND_MOMENTS ?? 30);
const operations = Number(process.env.REWIND_MOMENT_OPERATIONS ?? 250);
/** The slice takes the same ones each time. */
const seed = Number(process.env.REWIND_SEED ?? (process.env.REWIND_MOMENTS ? Date.now() % 1e9 : 1));

const config = {
  ...debugAllowed(),
  appendonly: 'yes',
  appendfsync: 'always',
  'aof-timestamp-enabled': 'yes',
  'aof-disable-auto-gc': 'yes',
  'auto-aof-rewrite-percentage': '0',
};
const instance = 'orders';
const io = { signal: new AbortController().signal, onProgress: () => undefined };

test(`${moments} random moments are what a server is that got exactly those commands (REWIND_SEED=${seed})`, async () => {
  const random = new Random(seed);
  await using folder = await temporaryFolder('moments');
  const repository = await openRepository({ url: `file://${folder.path}/repository` });
  const cutter = new ArchiveCutter(repository, { instance, segmentBytes: () => random.between(1, 6_000) });
  const written = await writeByChance(cutter, random, operations);
  const stretches = await readBack(repository, cutter.timeline);
  const chosen = chooseMoments(stretches, random, moments);
  const expected = await referenceDigests(written, new Set(chosen.map(({ state }) => state)));
  const dir = join(folder.path, 'laid');
  for (const { position, state } of chosen) {
    const moment = await findMoment({ repository, instance }, { kind: 'position', position });
    await layDown({ repository, instance }, moment, dir, io);
    const found = await digestOfPlainServer(dir);
    await rm(dir, { recursive: true });
    expect(found, `position ${position}, operation ${state}, seed ${seed}`).toBe(expected.get(state));
  }
}, 3_600_000);

/** Of a plain server that starts on a folder. Thousands are started: without a leash, ended by the kernel with this process. */
async function digestOfPlainServer(dir: string): Promise<string> {
  const socket = join(dir, 's');
  const settings = {
    ...debugAllowed(),
    port: '0',
    unixsocket: socket,
    dir,
    appendonly: 'yes',
    'aof-load-truncated': 'no',
  };
  const args = Object.entries({ ...settings, save: '' }).flatMap(([name, value]) => [`--${name}`, value]);
  const setpriv = findOnPath('setpriv', process.env.PATH);
  const [program, ...words] = [...(setpriv ? [setpriv, '--pdeathsig', 'KILL', '--'] : []), redisBinary(), ...args];
  const server = spawn(program as string, words, { stdio: 'ignore', cwd: dir });
  const ended = once(server, 'exit');
  try {
    for (;;) {
      if (server.exitCode !== null) throw new Error(`redis-server ended with ${server.exitCode} on ${dir}`);
      const redis = await connectRedis({ url: `unix://${socket}` }).catch(() => undefined);
      const digest = await redis?.call('DEBUG', 'DIGEST').catch(() => undefined);
      redis?.disconnect();
      if (digest !== undefined) return String(digest);
      await sleep(5);
    }
  } finally {
    server.kill('SIGKILL');
    await ended;
  }
}

/** Writes, with rewrites, restarts, deaths and promotions in between. */
async function writeByChance(cutter: ArchiveCutter, random: Random, count: number): Promise<WrittenOperation[]> {
  const writer = new MomentWriter(random);
  let server = await startRedis({ config });
  let redis = await connectTo(server);
  let other = await connectTo(server);
  const reconnect = async (to: RedisServer) => {
    redis.disconnect();
    other.disconnect();
    server = to;
    [redis, other] = [await connectTo(to), await connectTo(to)];
    writer.reconnected();
  };
  try {
    await cutter.begin('first');
    for (let i = 0; i < count; i++) {
      await writer.step(redis, other);
      const event = random.below(count < 1_000 ? 120 : 400);
      if (event < 2) await rewriteWhileWriting(redis, () => writer.step(redis, other), cutter, server);
      else if (event === 2) {
        await cutter.look(server.dir);
        await (random.chance(0.5) ? server.kill9() : redis.shutdown('NOSAVE').catch(() => undefined));
        await server.restart();
        await reconnect(server);
      } else if (event === 3) {
        await cutter.look(server.dir);
        const promoted = await promote(server, redis);
        const old = server;
        await reconnect(promoted);
        await old.stop();
        await cutter.begin('promotion', { timeline: cutter.timeline, position: cutter.position });
      } else if (event < 20) await cutter.look(server.dir);
    }
    await cutter.look(server.dir);
    return writer.operations;
  } finally {
    redis.disconnect();
    other.disconnect();
    await server.stop();
  }
}

async function rewriteWhileWriting(
  redis: Redis,
  step: () => Promise<void>,
  cutter: ArchiveCutter,
  server: RedisServer,
): Promise<void> {
  await cutter.look(server.dir);
  await redis.bgrewriteaof();
  do await step();
  while (/aof_rewrite_(in_progress|scheduled):1/.test(await redis.info('persistence')));
  await cutter.look(server.dir);
}

/** A replica that has everything becomes the primary; its file begins with a base of its own. */
async function promote(primary: RedisServer, live: Redis): Promise<RedisServer> {
  const replica = await startRedis({ config });
  const redis = await connectTo(replica);
  await redis.replicaof('127.0.0.1', primary.port);
  await expect
    .poll(async () => /master_link_status:up/.test(await redis.info('replication')), { timeout: 60_000, interval: 20 })
    .toBe(true);
  const want = Number(/master_repl_offset:(\d+)/.exec(await live.info('replication'))?.[1]);
  const has = async () => Number(/slave_repl_offset:(\d+)/.exec(await redis.info('replication'))?.[1]);
  await expect.poll(has, { timeout: 60_000, interval: 20 }).toBeGreaterThanOrEqual(want);
  await redis.replicaof('NO', 'ONE');
  await expect
    .poll(async () => /aof_rewrite_(in_progress|scheduled):1/.test(await redis.info('persistence')), {
      timeout: 60_000,
    })
    .toBe(false);
  redis.disconnect();
  return replica;
}

interface Stretch {
  readonly from: number;
  readonly to: number;
  /** `12` after operation 12 and its marker; `12+` when operation 13 is done and not yet marked. */
  readonly state: string;
}

/** Which state each position has, by the markers, as this test's own reading of the stored bytes has it. */
async function readBack(repository: Repository, timelines: number): Promise<Stretch[]> {
  const stretches: Stretch[] = [];
  let state = -1;
  for (let timeline = 1; timeline <= timelines; timeline++) {
    let unmarked: { start: number; end: number }[] = [];
    let from = -1;
    for (const { start, end, names } of await unitsOf(repository, timeline)) {
      if (from < 0) from = start;
      if (names[0] === 'set' && names[1] === marker) {
        const last = unmarked.at(-1);
        const first = unmarked[0];
        // Between the commands of one operation there is no state that anybody was shown.
        stretches.push({ from, to: first?.start ?? start, state: String(state) });
        if (last && first) {
          if (unmarked.length === 1) stretches.push({ from: first.start + 1, to: last.end - 1, state: String(state) });
          stretches.push({ from: last.end, to: start, state: `${state}+` });
        }
        state = Number(names[2]);
        from = end;
        unmarked = [];
      } else if (names[0] !== 'select') unmarked.push({ start, end });
    }
    if (from >= 0) stretches.push({ from, to: from, state: String(state) });
  }
  return stretches.filter((each) => each.from >= 0 && each.to >= each.from && each.state !== '-1');
}

async function unitsOf(repository: Repository, timeline: number) {
  const units: { start: number; end: number; names: string[] }[] = [];
  const keys: string[] = [];
  for await (const { key } of repository.list(segmentsDirectory(instance, timeline))) keys.push(key);
  let open: { start: number; names: string[] } | undefined;
  for (const key of keys.sort()) {
    const { header, body } = decodeSegment(await repository.readSmall(key, 64 * 1024 * 1024), key);
    const bytes = Buffer.from(body);
    let at = 0;
    const line = () => {
      const end = bytes.indexOf('\r\n', at);
      const text = bytes.toString('latin1', at, end);
      at = end + 2;
      return text;
    };
    while (at < bytes.length) {
      const start = header.start + at;
      const head = line();
      if (head.startsWith('#')) continue;
      const names: string[] = [];
      for (let left = Number(head.slice(1)); left > 0; left--) {
        const length = Number(line().slice(1));
        names.push(bytes.toString('latin1', at, at + length));
        at += length + 2;
      }
      names[0] = String(names[0]).toLowerCase();
      if (names[0] === 'multi') open = { start, names };
      else if (names[0] === 'exec') {
        units.push({ ...open!, end: header.start + at });
        open = undefined;
      } else if (!open) units.push({ start, end: header.start + at, names });
    }
  }
  return units;
}

function chooseMoments(stretches: readonly Stretch[], random: Random, count: number) {
  return Array.from({ length: count }, () => {
    const { from, to, state } = random.pick(stretches);
    return { position: random.between(from, to), state };
  });
}

/** A server that is told operation after operation, as the writer recorded them; it never saw a file. */
async function referenceDigests(
  written: readonly WrittenOperation[],
  states: ReadonlySet<string>,
): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  const server = await startRedis({ config: debugAllowed() });
  const redis = await connectTo(server);
  const note = async (state: string) => {
    if (states.has(state)) digests.set(state, String(await redis.call('DEBUG', 'DIGEST')));
  };
  try {
    for (const [i, { db, commands }] of written.entries()) {
      await redis.select(db);
      for (const command of commands) await sendOne(redis, command);
      await note(`${i - 1}+`);
      await redis.call('SET', marker, String(i));
      await note(String(i));
    }
    return digests;
  } finally {
    redis.disconnect();
    await server.stop();
  }
}
