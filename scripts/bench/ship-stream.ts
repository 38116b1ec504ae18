import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Redis } from 'ioredis';
import { connectRedis } from '../../redis/connection.ts';
import { infoNumber, parseInfo } from '../../redis/info.ts';
import { startRedis } from '../../test/support/servers.ts';
import type { FollowNews } from './follow.ts';
import { percentile, startLoad } from './latency.ts';
import { megabytes, table } from './report.ts';
import type { Stage } from './stage.ts';
import { median } from './turns.ts';

const offered = { steady: 20e6, endless: 2e9 } as const;
const turnMs = 15_000;
const settleMs = 3_000;
const askMs = 100;
const MIB = 1024 * 1024;

interface Turn {
  readonly p99Ms: number;
  /** Of one core. */
  readonly cpuShare: number;
  readonly commandsPerSecond: number;
  /** What Redis holds for those who read its stream, at its peak. */
  readonly replicationBytes: number;
  readonly lagMs: number;
  readonly residentBytes: number;
}

/** What an archive by replication costs a Redis without an append-only file, with and without it in turn. */
export async function benchShipStream(stage: Stage, rounds: number): Promise<string> {
  const server = await startRedis({ config: { 'repl-backlog-size': '64mb', 'repl-diskless-sync-delay': '0' } });
  const redis = await connectRedis({ url: server.url });
  try {
    const { path, home } = await stage.instanceFile(server, { archive: { from: 'replication' } });
    const texts: string[] = [];
    for (const [kind, bytesPerSecond] of Object.entries(offered)) {
      const turns = { bare: [] as Turn[], archived: [] as Turn[] };
      for (let round = 0; round <= rounds; round++) {
        const order = round % 2 === 1 ? (['archived', 'bare'] as const) : (['bare', 'archived'] as const);
        for (const which of order) {
          const turn = await oneTurn(
            redis,
            server.port,
            bytesPerSecond,
            which === 'archived' ? [path, home] : undefined,
          );
          process.stderr.write(`  round ${round}: ${kind}, ${which} p99 ${turn.p99Ms.toFixed(2)} ms\n`);
          if (round > 0) turns[which].push(turn);
        }
      }
      texts.push(tableOf(kind, turns, rounds));
    }
    return texts.join('\n');
  } finally {
    redis.disconnect();
    await server.stop();
  }
}

function tableOf(kind: string, { bare, archived }: { bare: Turn[]; archived: Turn[] }, rounds: number): string {
  const ratio = (of: (turn: Turn) => number) => median(archived.map((turn, i) => of(turn) / of(bare[i]!))).toFixed(2);
  const both = (of: (turn: Turn) => number, digits: number, unit: string) =>
    `${median(archived.map(of)).toFixed(digits)} beside ${median(bare.map(of)).toFixed(digits)} ${unit}`;
  const most = (of: (turn: Turn) => number) => Math.max(...archived.map(of));
  const rate =
    kind === 'steady' ? `${megabytes(offered.steady)} of writes a second offered` : 'as many writes as Redis takes';
  return table(`An archive by replication, ${rate}, Redis without an append-only file, ${rounds} rounds in turn`, [
    {
      what: 'p99 of a client at 1,000 commands a second',
      figure: both(({ p99Ms }) => p99Ms, 2, 'ms'),
      ratio: ratio(({ p99Ms }) => p99Ms),
    },
    {
      what: 'processor time of Redis',
      figure: both(({ cpuShare }) => 100 * cpuShare, 1, '% of a core'),
      ratio: ratio(({ cpuShare }) => cpuShare),
    },
    {
      what: 'commands that Redis executed',
      figure: both(({ commandsPerSecond }) => commandsPerSecond / 1000, 1, 'thousand a second'),
      ratio: ratio(({ commandsPerSecond }) => commandsPerSecond),
    },
    {
      what: 'memory of Redis for its stream (backlog of 64 MB and what is not read yet), at its peak',
      figure: `${megabytes(most(({ replicationBytes }) => replicationBytes))}`,
    },
    { what: 'lag of what is in the store, the longest', figure: `${(most(({ lagMs }) => lagMs) / 1000).toFixed(2)} s` },
    {
      what: 'memory of the process that archives, at its peak',
      figure: `${(most(({ residentBytes }) => residentBytes) / MIB).toFixed(0)} MiB`,
    },
  ]);
}

async function oneTurn(
  redis: Redis,
  port: number,
  bytesPerSecond: number,
  archive: readonly string[] | undefined,
): Promise<Turn> {
  const news: FollowNews[] = [];
  const follower = archive && child('follow', archive);
  follower?.on('message', (said: FollowNews) => void news.push(said));
  while (follower && !((news.at(-1)?.timeline ?? 0) > 0 && news.at(-1)!.unshippedBytes < MIB)) await sleep(50);
  const writer = child('offered-writes', [String(port), String(bytesPerSecond)]);
  try {
    await once(writer, 'message');
    const load = await startLoad({ port, keys: 100_000, perSecond: 1_000 });
    await sleep(settleMs);
    news.length = 0;
    const before = await figuresOf(redis);
    const from = Date.now();
    let replicationBytes = 0;
    while (Date.now() - from < turnMs) {
      await sleep(askMs);
      replicationBytes = Math.max(replicationBytes, (await figuresOf(redis)).replicationBytes);
    }
    const to = Date.now();
    const after = await figuresOf(redis);
    const samples = await load.end();
    return {
      p99Ms: percentile(samples, [from, to], 0.99),
      cpuShare: ((after.cpuSeconds - before.cpuSeconds) * 1000) / (to - from),
      commandsPerSecond: ((after.commands - before.commands) * 1000) / (to - from),
      replicationBytes,
      lagMs: Math.max(0, ...news.map(({ lagMs }) => lagMs)),
      residentBytes: Math.max(0, ...news.map(({ residentBytes: each }) => each)),
    };
  } finally {
    await ended(writer);
    if (follower) await ended(follower);
  }
}

/** In a session of its own, as a worker is. */
const child = (name: string, args: readonly string[]): ChildProcess =>
  fork(fileURLToPath(new URL(`./${name}.ts`, import.meta.url)), args, { detached: true });

async function ended(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  const gone = once(process, 'exit');
  process.kill();
  await gone;
}

async function figuresOf(redis: Redis) {
  const info = parseInfo(String(await redis.call('INFO', 'everything')));
  const figure = (name: string) => infoNumber(info, name) ?? 0;
  return {
    cpuSeconds: figure('used_cpu_user') + figure('used_cpu_sys'),
    commands: figure('total_commands_processed'),
    // One buffer for the backlog and for all replicas since Redis 7.0.
    replicationBytes:
      figure('mem_total_replication_buffers') || figure('mem_clients_slaves') + figure('mem_replication_backlog'),
  };
}
