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
import { storeNice, yieldToOthers } from './yield-to-others.ts';

const offeredBytesPerSecond = 20e6;
/** More than a Redis beside its clients takes on two cores. */
const endlessBytesPerSecond = 2e9;
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
  /** Of the process that follows, and of the store. */
  readonly followerCpuMs: number;
  readonly storeCpuMs: number;
  readonly segments: number;
  readonly shippedBytes: number;
  /** Not shipped when the turn began, and when it ended. */
  readonly unshipped: readonly [number, number];
}

/** What following an append-only file costs and how far behind it is, with and without a follower in turn. */
export async function benchShip(stage: Stage, rounds: number): Promise<string> {
  const redis = await startRedis({ config: { appendonly: 'yes', 'auto-aof-rewrite-percentage': '0' } });
  try {
    const { path, home } = await stage.instanceFile(redis, { archive: true });
    const { pid } = await stage.minio();
    const setting: Setting = { redis, storePid: pid, offered: offeredBytesPerSecond };
    // Before the store is told to yield: on a machine that is used to its limit it would be given nothing at all.
    const fastest = await oneTurn({ ...setting, offered: endlessBytesPerSecond }, { path, home });
    yieldToOthers(pid, storeNice);
    const turns = { bare: [] as Turn[], followed: [] as Turn[] };
    for (let round = 0; round <= rounds; round++) {
      const order = round % 2 === 1 ? (['followed', 'bare'] as const) : (['bare', 'followed'] as const);
      for (const which of order) {
        const turn = await oneTurn(setting, which === 'followed' ? { path, home } : undefined);
        process.stderr.write(`  round ${round}: ${which} p99 ${turn.p99Ms.toFixed(2)} ms\n`);
        if (round > 0) turns[which].push(turn);
      }
    }
    return `${await scanTable()}\n${shipTable(turns, rounds)}\n${fastestTable(fastest)}`;
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
  const perMegabyte = (of: (turn: Turn) => number) =>
    median(followed.map((turn) => (1e6 * of(turn)) / turn.shippedBytes)).toFixed(1);
  const written = median(followed.map(({ writtenBytes }) => writtenBytes)) / (turnMs / 1000);
  return table(
    `Following at ${megabytes(written)} of appended bytes a second (${megabytes(offeredBytesPerSecond)} offered), ${rounds} rounds in turn; the store, which stands for another machine, at nice ${storeNice}, and who follows at nice ${agentNice}, as its systemd unit has it`,
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
        what: 'processor time of the process that follows, and of the store, a MB',
        figure: `${perMegabyte(({ followerCpuMs }) => followerCpuMs)} and ${perMegabyte(({ storeCpuMs }) => storeCpuMs)} ms; segments of ${megabytes(median(followed.map(({ shippedBytes, segments }) => shippedBytes / segments)))}`,
      },
      {
        what: 'memory of the process that follows, at its peak',
        figure: `${resident.toFixed(0)} MiB`,
        goal: atMost(Math.round(resident), 200, ' MiB'),
      },
    ],
  );
}

/** What comes when clients write as fast as Redis answers them. */
function fastestTable({ writtenBytes, shippedBytes, unshipped, lagsMs, residentBytes, followerCpuMs }: Turn): string {
  const seconds = turnMs / 1000;
  const share = shippedBytes / writtenBytes;
  return table('Following at the highest rate that Redis reaches beside its clients and the store on this machine', [
    {
      what: 'appended, and shipped meanwhile',
      figure: `${megabytes(writtenBytes / seconds)} and ${megabytes(shippedBytes / seconds)} a second`,
      ratio: share.toFixed(2),
      goal: atLeast(share, 0.95),
    },
    {
      what: 'not in the store at the beginning, and at the end',
      figure: `${megabytes(unshipped[0])}, ${megabytes(unshipped[1])}`,
    },
    { what: 'lag, the longest', figure: `${(Math.max(...lagsMs) / 1000).toFixed(2)} s` },
    {
      what: 'memory at its peak, processor time of the process that follows',
      figure: `${(residentBytes / MIB).toFixed(0)} MiB, ${((1e6 * followerCpuMs) / shippedBytes).toFixed(1)} ms a MB`,
    },
  ]);
}

interface Setting {
  readonly redis: RedisServer;
  readonly storePid: number;
  readonly offered: number;
}

/** About the share of a processor that `CPUWeight=20` gives, which is in the systemd unit of the agent beside Redis. */
const agentNice = 7;

async function oneTurn(
  { redis, storePid, offered }: Setting,
  follow: { path: string; home: string } | undefined,
): Promise<Turn> {
  const follower = follow && (await startFollower(follow));
  const writer = fork(fileURLToPath(new URL('./offered-writes.ts', import.meta.url)), [
    String(redis.port),
    String(offered),
  ]);
  try {
    await once(writer, 'message');
    const load = await startLoad({ port: redis.port, keys: 100_000, perSecond: 1_000 });
    await sleep(settleMs);
    const first = follower?.forget();
    const [from, cpu, written] = [Date.now(), await cpuSeconds(redis.pid), await appendedBytes(redis)];
    const store = await cpuSeconds(storePid);
    await sleep(turnMs);
    const [to, cpuThen, writtenThen] = [Date.now(), await cpuSeconds(redis.pid), await appendedBytes(redis)];
    const last = follower?.news.at(-1);
    const storeThen = await cpuSeconds(storePid);
    const samples = await load.end();
    const difference = (of: (news: FollowNews) => number) => (first && last ? of(last) - of(first) : 0);
    return {
      followerCpuMs: difference(({ cpuMs }) => cpuMs),
      storeCpuMs: 1000 * (storeThen - store),
      segments: difference(({ segments }) => segments),
      shippedBytes: difference(({ shippedBytes }) => shippedBytes),
      unshipped: [first?.unshippedBytes ?? 0, last?.unshippedBytes ?? 0],
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
  // In a session of its own, as an agent is.
  const child = fork(fileURLToPath(new URL('./follow.ts', import.meta.url)), [path, home], { detached: true });
  yieldToOthers(child.pid!, agentNice);
  const news: FollowNews[] = [];
  child.on('message', (said: FollowNews) => void news.push(said));
  const died = once(child, 'exit').then(([code]) => {
    throw new Error(`the follower ended with ${code}`);
  });
  died.catch(() => undefined);
  // What the turn without it has left comes first.
  const caughtUp = (said?: FollowNews) => said && said.timeline > 0 && said.unshippedBytes < MIB;
  while (!caughtUp(news.at(-1))) await Promise.race([sleep(50), died]);
  return { news, forget: () => news.splice(0).at(-1), end: () => ended(child) };
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
