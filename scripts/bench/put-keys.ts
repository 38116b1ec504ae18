import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { link, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { foundPart } from '../../process/found-parts.ts';
import { findOnPath } from '../../process/program-path.ts';
import { Crc64 } from '../../rdb/crc64.ts';
import { walkRdb } from '../../rdb/walk.ts';
import { connectRedis } from '../../redis/connection.ts';
import { readInfo } from '../../redis/info.ts';
import { command } from '../../restore/keys/pipeline.ts';
import { type RedisServer, startRedis } from '../../test/support/servers.ts';
import { putWholeDump } from './put-whole-dump.ts';
import { atLeast, megabytes, type Row, table } from './report.ts';
import { type Stage, save } from './stage.ts';
import { type Contender, inTurn, median, ratioOf, secondsOf, type Timing } from './turns.ts';

/** ioredis is slow: it is given one key of so many, and its time is multiplied. */
const ioredisShare = 10;
const writeBytes = 1024 * 1024;
const clockTicksPerSecond = 100;

interface KeySet {
  readonly name: string;
  readonly dump: string;
  readonly keys: number;
  readonly source: RedisServer;
  /** The same as ready-made RESTORE commands. */
  readonly commands: string;
}

/** Keys from a dump into a live server, beside the ways that others have, with the AOF off and on. */
export async function benchPutKeys(stage: Stage, rounds: number): Promise<string> {
  const mixed = await stage.mixedSet();
  const folder = await stage.folder();
  // As in a worker.
  process.env.NODE_COMPILE_CACHE ??= join(folder, 'compile-cache');
  const sets = [
    await smallSet(folder, mixed.keys),
    await withCommands({ name: 'mixed keys', dump: mixed.path, keys: mixed.keys, source: mixed.redis }, folder),
  ];
  const tables: string[] = [];
  for (const set of sets) {
    for (const aof of ['no', 'yes'] as const) tables.push(await compareWays(set, aof, folder, rounds));
    await rm(set.commands);
  }
  await sets[0]!.source.stop();
  return tables.join('\n');
}

async function compareWays(set: KeySet, aof: 'no' | 'yes', folder: string, rounds: number): Promise<string> {
  const target = await startRedis({ config: { appendonly: aof, 'auto-aof-rewrite-percentage': '0' } });
  const redis = await connectRedis({ url: target.url });
  const busy = new Map<string, number[]>();
  const way = (name: string, run: () => Promise<unknown>, share = 1): Contender => ({
    name,
    once: async (round) => {
      await empty(redis, aof);
      const before = await mainThreadSeconds(target.pid);
      const taken = await secondsOf(run);
      const share_ = ((await mainThreadSeconds(target.pid)) - before) / taken;
      if (round > 0) busy.set(name, [...(busy.get(name) ?? []), share_]);
      const there = await redis.dbsize();
      if (there * share < set.keys * 0.99) throw new Error(`${name}: ${there} of ${set.keys} keys arrived`);
      return taken * share;
    },
  });
  const contenders = [
    way('redis-rewind: sliced out of the dump', () => ours(set, target, folder)),
    way('`redis-cli --pipe`, ready-made RESTORE commands', () => pipe(set, target)),
    way('ioredis: SCAN, DUMP and PTTL, RESTORE in pipelines', () => byIoredis(set, redis), ioredisShare),
  ];
  const skipped: Row[] = [];
  const rdbCli = findOnPath('rdb-cli', process.env.PATH);
  if (rdbCli === undefined)
    skipped.push({ what: 'librdb `rdb-cli -r -l 1000`: skipped, it is not on PATH', figure: '' });
  else {
    const args = [set.dump, 'redis', '-h', '127.0.0.1', '-p', String(target.port), '-r', '-l', '1000'];
    contenders.push(way('librdb `rdb-cli -r -l 1000`', () => runTo0(rdbCli, args)));
  }
  const shake = findOnPath('redis-shake', process.env.PATH);
  if (shake === undefined) skipped.push({ what: 'RedisShake: skipped, `redis-shake` is not on PATH', figure: '' });
  else {
    const config = join(folder, 'shake.toml');
    await writeFile(
      config,
      `[rdb_reader]\nfilepath = "${set.dump}"\n[redis_writer]\naddress = "127.0.0.1:${target.port}"\n[advanced]\ndir = "${folder}"\n`,
    );
    contenders.push(way('RedisShake, rdb_reader', () => runTo0(shake, [config])));
  }
  try {
    const [first, ...others] = await inTurn(contenders, rounds);
    const goals: Record<string, number> = { '`redis-cli --pipe`': 1, ioredis: 8, librdb: 1.2, RedisShake: 5 };
    const row = (timing: Timing): Row => {
      const share = Math.round(median(busy.get(timing.name)!) * 100);
      const rate = Math.round(set.keys / median(timing.seconds) / 1000);
      const best = Math.round(set.keys / Math.min(...timing.seconds) / 1000);
      return {
        what: timing.name,
        figure: `${rate} k keys/s (fastest ${best}), the server's main thread ${share} % busy`,
      };
    };
    const rows = [
      row(first!),
      ...others.map((timing): Row => {
        const ratio = 1 / ratioOf(first!, timing);
        const goal = Object.entries(goals).find(([name]) => timing.name.startsWith(name))?.[1];
        return {
          ...row(timing),
          ratio: `${ratio.toFixed(2)} × as fast as it`,
          ...(goal === undefined ? {} : { goal: atLeast(ratio, goal, ' ×') }),
        };
      }),
      ...skipped,
    ];
    const size = megabytes((await stat(set.dump)).size);
    return table(
      `Into a live server: ${set.keys} ${set.name}, ${size}, AOF ${aof === 'yes' ? 'on' : 'off'}, ${rounds} rounds in turn`,
      rows,
    );
  } finally {
    redis.disconnect();
    await target.stop();
  }
}

function ours(set: KeySet, target: RedisServer, folder: string): Promise<void> {
  return putWholeDump(set.dump, `redis://127.0.0.1:${target.port}`, join(folder, 'names.jsonl'));
}

async function pipe(set: KeySet, target: RedisServer): Promise<void> {
  const file = await open(set.commands);
  try {
    const cli = join(dirname(foundPart('redis').path), 'redis-cli');
    await runTo0(cli, ['-p', String(target.port), '--pipe'], file.fd);
  } finally {
    await file.close();
  }
}

/** Copies a part of the keys from the source's server, as one would write it. */
async function byIoredis(set: KeySet, target: Redis): Promise<void> {
  const source = await connectRedis({ url: set.source.url });
  try {
    let left = Math.ceil(set.keys / ioredisShare);
    for (let cursor = '0'; left > 0; ) {
      const [next, found] = await source.scanBuffer(cursor, 'COUNT', 1000);
      const keys = found.slice(0, left);
      left -= keys.length;
      const asking = source.pipeline();
      for (const key of keys) asking.dumpBuffer(key).pttl(key);
      const answers = (await asking.exec())!;
      const putting = target.pipeline();
      for (const [i, key] of keys.entries()) {
        const payload = answers[2 * i]![1] as Buffer;
        putting.restore(key, Math.max(0, answers[2 * i + 1]![1] as number), payload);
      }
      await putting.exec();
      cursor = next.toString();
      if (cursor === '0') break;
    }
  } finally {
    source.disconnect();
  }
}

async function runTo0(path: string, args: readonly string[], stdin: number | 'ignore' = 'ignore'): Promise<void> {
  const child = spawn(path, args, { stdio: [stdin, 'ignore', 'inherit'] });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${path} ended with ${code}`);
}

async function empty(redis: Redis, aof: 'no' | 'yes'): Promise<void> {
  await redis.flushall('SYNC');
  if (aof === 'no') return;
  await redis.call('BGREWRITEAOF');
  await sleep(100);
  for (;;) {
    const info = await readInfo(redis, 'persistence');
    if (info.aof_rewrite_in_progress === '0' && info.aof_rewrite_scheduled === '0') return;
    await sleep(50);
  }
}

/** Processor time of a process' first thread. */
async function mainThreadSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/task/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / clockTicksPerSecond;
}

async function smallSet(folder: string, keys: number): Promise<KeySet> {
  const source = await startRedis();
  process.stderr.write(`${keys} small keys are made\n`);
  const socket = connect({ port: source.port, host: '127.0.0.1' });
  await once(socket, 'connect');
  socket.resume();
  let text = '';
  const send = async () => {
    if (!socket.write(text)) await once(socket, 'drain');
    text = '';
  };
  for (let i = 0; i < keys; i++) {
    const [key, value] = [`user:${i}`, `value of ${i * 7919}`];
    text += `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n${value}\r\n`;
    if (text.length > writeBytes) await send();
  }
  text += '*1\r\n$4\r\nQUIT\r\n';
  await send();
  await once(socket, 'close');
  await save(source);
  const dump = join(folder, 'small.rdb');
  await link(join(source.dir, 'dump.rdb'), dump).catch(async () =>
    writeFile(dump, await readFile(join(source.dir, 'dump.rdb'))),
  );
  return withCommands({ name: 'small keys', dump, keys, source }, folder);
}

/** Writes the set as the commands that `redis-cli --pipe` takes. */
async function withCommands(set: Omit<KeySet, 'commands'>, folder: string): Promise<KeySet> {
  const commands = join(folder, `${set.name.replace(' ', '-')}.resp`);
  const out = createWriteStream(commands, { highWaterMark: 4 * writeBytes });
  const dump = await readFile(set.dump);
  let key: Buffer = Buffer.alloc(0);
  let version = 0;
  await walkRdb(
    { path: set.dump },
    {
      header: (_magic, is) => {
        version = is;
      },
      key: (entry) => {
        key = entry.copyKey();
        return null;
      },
      keyEnd: ({ typeAt, valueStart, end, expireAtMs }) => {
        const body = Buffer.concat([
          dump.subarray(typeAt, typeAt + 1),
          dump.subarray(valueStart, end),
          Buffer.from([version, 0]),
        ]);
        const crc = new Crc64();
        crc.update(body);
        const sum = Buffer.alloc(8);
        sum.writeBigUInt64LE(crc.value);
        const expiry = expireAtMs < 0 ? ['0'] : [String(expireAtMs)];
        out.write(
          command('RESTORE', key, ...expiry, Buffer.concat([body, sum]), ...(expireAtMs < 0 ? [] : ['ABSTTL'])),
        );
      },
    },
  );
  out.end();
  await once(out, 'close');
  return { ...set, commands };
}
