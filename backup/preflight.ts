import { access, constants, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { RewindError } from '../errors/rewind-error.ts';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import { memoryFacts } from '../redis/host-memory.ts';
import { type Info, infoNumber, keysOf, readInfo, redisTimeMs, serverVersion } from '../redis/info.ts';
import { reasonInLog } from '../redis/log-reason.ts';
import { redisProcess } from '../redis/redis-process.ts';
import { judgeTopology, readTopology } from '../redis/topology.ts';
import { checkIdentity } from './identity-check.ts';
import type { InstanceContext } from './instance-context.ts';

/** What preflight found, and how the dump will be had. */
export interface PreflightReport {
  readonly source: 'dump-file' | 'replication';
  /** Completes the sentence "the dump is had …". */
  readonly why: string;
  readonly server: { readonly name: 'redis' | 'valkey'; readonly version: string; readonly runId: string };
  readonly role: 'primary' | 'replica';
  readonly replicationIds: readonly string[];
  /** Of the instance, as the repository has it. */
  readonly identity: string;
  readonly dump?: { readonly dir: string; readonly dbfilename: string };
  /** Live, and so only a hint: it may swing by the second. */
  readonly keys: number;
  readonly usedMemoryBytes: number;
  /** Sentences for a person; none of them stops the backup. */
  readonly findings: readonly string[];
}

/** Clocks further apart than this are worth a word; the backup itself trusts Redis' clock only. */
const CLOCK_SKEW_MS = 60_000;

/**
 * Looks whether a backup can work before anything is started.
 *
 * @throws PREFLIGHT_REFUSED with the reason
 */
export async function preflight(redis: Redis, context: InstanceContext): Promise<PreflightReport> {
  const { policy } = context;
  const info = await readInfo(redis, 'everything');
  const topology = await readTopology(redis);
  const findings: string[] = [];
  const judged = judgeTopology(topology, policy.topology);
  if (!judged.ok) throw new RewindError('PREFLIGHT_REFUSED', judged.reason);
  findings.push(...judged.findings);

  const source = await dumpSource(redis, policy);
  if (source.dump) {
    findings.push(...(await diskForSave(source.dump, info)));
    findings.push(...(await memoryForFork(info, source.dump.dir)));
    findings.push(...(await lastSaveFailure(redis, info, source.dump.dir)));
  }
  const skew = (await redisTimeMs(redis)) - Date.now();
  if (Math.abs(skew) > CLOCK_SKEW_MS) {
    findings.push(
      `Redis' clock and the agent's differ by ${Math.round(skew / 1000)} s; times are given by Redis' clock.`,
    );
  }
  const replicationIds = [info.master_replid, info.master_replid2].filter(
    (id) => id !== undefined && !/^0+$/.test(id),
  ) as string[];
  const identity = await checkIdentity(context, replicationIds);
  return {
    ...source,
    server: { ...serverVersion(info), runId: info.run_id ?? '' },
    role: topology.role,
    replicationIds,
    identity,
    keys: keysOf(info),
    usedMemoryBytes: infoNumber(info, 'used_memory') ?? 0,
    findings,
  };
}

/** The dump file serves where this process stands beside Redis and may read it; otherwise the dump is replicated. */
async function dumpSource(
  redis: Redis,
  policy: InstancePolicy,
): Promise<Pick<PreflightReport, 'source' | 'why' | 'dump'>> {
  const byReplication = (why: string) => ({ source: 'replication', why: `by replication: ${why}` }) as const;
  if (policy.source === 'replication') return byReplication('no agent is configured beside Redis');
  const dir = await configValue(redis, 'dir');
  const dbfilename = await configValue(redis, 'dbfilename');
  if (!dir || !dbfilename) return byReplication('Redis does not tell where it saves (CONFIG is not allowed)');
  try {
    await access(dir, constants.R_OK | constants.X_OK);
  } catch {
    return byReplication(`${dir} is not on the agent's machine or not readable`);
  }
  return { source: 'dump-file', why: `from ${join(dir, dbfilename)}`, dump: { dir, dbfilename } };
}

async function configValue(redis: Redis, name: string): Promise<string | undefined> {
  const reply = (await redis.config('GET', name).catch(() => [])) as string[];
  return reply[1];
}

/** @throws PREFLIGHT_REFUSED when a dump as large as the last one cannot be written */
async function diskForSave(dump: { dir: string; dbfilename: string }, info: Info): Promise<string[]> {
  const disk = await statfs(dump.dir);
  const free = disk.bavail * disk.bsize;
  const last = (await stat(join(dump.dir, dump.dbfilename)).catch(() => undefined))?.size ?? 0;
  if (free < last) {
    throw new RewindError(
      'PREFLIGHT_REFUSED',
      `The disk of ${dump.dir} has ${free} bytes free; the last dump took ${last}. A save would fail and, with stop-writes-on-bgsave-error, stop all writes.`,
    );
  }
  const memory = infoNumber(info, 'used_memory_dataset') ?? 0;
  return free < memory
    ? [`The disk of ${dump.dir} has ${free} bytes free, less than the data takes in memory (${memory}).`]
    : [];
}

/** @throws PREFLIGHT_REFUSED where the kernel is known to refuse the fork */
async function memoryForFork(info: Info, dir: string): Promise<string[]> {
  const memory = await memoryFacts((await redisProcess(dir, Number(info.process_id))) ?? 'unseen');
  const rss = infoNumber(info, 'used_memory_rss') ?? 0;
  if (!memory) return [];
  if (memory.overcommit === 2 && memory.commitLeftBytes !== undefined && memory.commitLeftBytes < rss) {
    throw new RewindError(
      'PREFLIGHT_REFUSED',
      `vm.overcommit_memory is 2 and the machine may promise ${memory.commitLeftBytes} more bytes: the fork for a save of ${rss} is refused.`,
    );
  }
  if (memory.availableBytes >= rss / 2) return [];
  const whose = memory.limit ? `Redis’ control group ${memory.limit.group}` : 'The machine';
  return [
    `${whose} has ${memory.availableBytes} bytes of memory left; pages written during the save of ${rss} are copied.`,
  ];
}

/** The save is tried all the same: the cause may be gone, and a save that succeeds lets Redis write again. */
async function lastSaveFailure(redis: Redis, info: Info, dir: string): Promise<string[]> {
  if (info.rdb_last_bgsave_status !== 'err') return [];
  const logFile = await configValue(redis, 'logfile');
  const why = logFile && (await reasonInLog(logFile, dir));
  return [
    `Redis’ last save failed${why ? ` (${why})` : ''}, which may be stopping writes; this one is tried, and ends that when it succeeds.`,
  ];
}
