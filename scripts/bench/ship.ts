import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { scanAof } from '../../aof/scan.ts';
import { type RedisServer, startRedis } from '../../test/support/servers.ts';
import { fillServer } from './dataset.ts';
import type { FollowNews } from './follow.ts';
import { percentile, startLoad } from './latency.ts';
import { atLeast, atMost, megabytes, table } from './report.ts';
import type { Stage } from './stage.ts';
import { median } from './turns.ts';

const offeredBytesPerSecond = 20e6;
const turnMs = 15_000;
const settleMs = 3_000;
const MIB = 1024 * 1024;
const clockTicksPerSecond = 100;

interface Turn {
  readonly p99Ms: number;
  readonly cpuShare: number;
  readonly lagsMs: readonly number[];
  readonly residentBytes: number;
  readonly writtenBytes: number;
}

/** What following an append-only file costs and how far behind it is, with and without a follower in turn. */
export async function benchShip(stage: Stage, rounds: number): Promise<string> {
  const redis = await startRedis({ config: { appendonly: 'yes', 'auto-aof-rewrite-percentage': '0' } });
  try {
    const { path, home } = await stage.instanceFile(redis, { archive: true });
    const turns = { bare: [] as Turn[], followed: [] as Turn[] };
    for (let round = 0; round <= rounds; round++) {
      const order = round % 2 === 1 ? (['followed', 'bare'] as const) : (['bare', 'followed'] as const);
      for (const which of order) {
        const turn = await oneTurn(redis, which === 'followed' ? { path, home } : undefined);
        process.stderr.write(`  round ${round}: ${which} p99 ${turn.p99Ms.toFixed(2)} ms\n`);
        if (round > 0) turns[which].push(turn);
      }
    }
    return `${await scanTable()}\n${shipTable(turns, rounds)}`;
  } finally {
    await redis.stop();
  }
}

function shipTable({ bare, followed }: { bare: Turn[]; followed: Turn[] }, rounds: number): string {
  const ratio = (of: (turn: Turn) => number) => median(followed.map((turn, i) => of(turn) / of(bare[i]!)));
  const lags = followed.flatMap(({ lagsMs }) => lagsMs).sort((a, b) => a - b);
  const lag = lags[Math.floor(0.99 * lags.length)] ?? Number.NaN;
  const resident = Math.max(...followed.map(({ residentBytes }) => residentBytes)) / MIB;
  const [p99, cpu] = [ratio((turn) => turn.p99Ms), ratio((turn) => turn.cpuShare)];
  const both = (of: (turn: Turn) => number, digits: number, unit: string) =>
    `${median(followed.map(of)).toFixed(digits)} beside ${median(bare.map(of)).toFixed(digits)} ${unit}`;
  const written = median(followed.map(({ writtenBytes }) => writtenBytes)) / (turnMs / 1000);
  return table(
    `Following at ${megabytes(written)} of appended bytes a second (${megabytes(offeredBytesPerSecond)} offered), ${rounds} rounds in turn`,
    [
      {
        what: 'lag of what is in the store, p99',
        figure: `${(lag / 1000).toFixed(2)} s`,
        goal: atMost(lag / 1000, 4, ' s'),
      },
      {
        what: 'p99 of a client at 1,000 commands a second',
        figure: both(({ p99Ms }) => p99Ms, 2, 'ms'),
        ratio: p99.toFixed(2),
        goal: atMost(p99, 1.1),
      },
      {
        what: 'processor time of Redis',
        figure: both(({ cpuShare }) => 100 * cpuShare, 1, '% of a core'),
        ratio: cpu.toFixed(2),
        goal: atMost(cpu, 1.1),
      },
      {
        what: 'memory of the process that follows, at its peak',
        figure: `${resident.toFixed(0)} MiB`,
        goal: atMost(Math.round(resident), 200, ' MiB'),
      },
    ],
  );
}

async function oneTurn(redis: RedisServer, follow: { path: string; home: string } | undefined): Promise<Turn> {
  const follower = follow && (await startFollower(follow));
  const writer = fork(fileURLToPath(new URL('./offered-writes.ts', import.meta.url)), [
    String(redis.port),
    String(offeredBytesPerSecond),
  ]);
  try {
    await once(writer, 'message');
    const load = await startLoad({ port: redis.port, keys: 100_000, perSecond: 1_000 });
    await sleep(settleMs);
    follower?.forget();
    const [from, cpu, written] = [Date.now(), await cpuSeconds(redis.pid), await appendedBytes(redis)];
    await sleep(turnMs);
    const [to, cpuThen, writtenThen] = [Date.now(), await cpuSeconds(redis.pid), await appendedBytes(redis)];
    const samples = await load.end();
    return {
      p99Ms: percentile(samples, [from, to], 0.99),
      cpuShare: ((cpuThen - cpu) * 1000) / (to - from),
      lagsMs: follower?.news.map(({ lagMs }) => lagMs) ?? [],
      residentBytes: Math.max(0, ...(follower?.news.map(({ residentBytes }) => residentBytes) ?? [])),
      writtenBytes: writtenThen - written,
    };
  } finally {
    await ended(writer);
    await follower?.end();
  }
}

async function startFollower({ path, home }: { path: string; home: string }) {
  const child = fork(fileURLToPath(new URL('./follow.ts', import.meta.url)), [path, home]);
  const news: FollowNews[] = [];
  child.on('message', (said: FollowNews) => void news.push(said));
  const died = once(child, 'exit').then(([code]) => {
    throw new Error(`the follower ended with ${code}`);
  });
  died.catch(() => undefined);
  while (news.at(-1)?.state !== 'following') await Promise.race([sleep(50), died]);
  return { news, forget: () => void news.splice(0), end: () => ended(child) };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill();
  await gone;
}

async function cpuSeconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'latin1')).replace(/^.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / clockTicksPerSecond;
}

async function appendedBytes({ dir }: RedisServer): Promise<number> {
  const folder = join(dir, 'appendonlydir');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.incr.aof'));
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** The framing of a mixed append-only file, by processor time. */
async function scanTable(): Promise<string> {
  const server = await startRedis({ config: { appendonly: 'yes', 'auto-aof-rewrite-percentage': '0' } });
  try {
    await fillServer(server.port, { keys: 600_000 });
    const path = join(server.dir, 'appendonlydir', 'appendonly.aof.1.incr.aof');
    const { size } = await stat(path);
    let best = 0;
    for (let round = 0; round < 5; round++) {
      const cpu = process.cpuUsage();
      await scanAof({ path }, {});
      const { user, system } = process.cpuUsage(cpu);
      best = Math.max(best, size / (user + system));
    }
    return table(`Scan of an append-only file's framing: ${megabytes(size)}, the best of 5 rounds`, [
      {
        what: 'commands found, nothing kept',
        figure: `${best.toFixed(0)} MB a processor second`,
        goal: atLeast(best, 800, ' MB/s'),
      },
    ]);
  } finally {
    await server.stop();
  }
}
