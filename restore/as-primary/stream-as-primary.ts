import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { addressOf, connectionError, connectRedis, type RedisTarget } from '../../redis/connection.ts';
import { infoNumber, keysOf, readInfo } from '../../redis/info.ts';
import { sha256Of } from '../files/durable-files.ts';
import { writeJournal } from '../journal.ts';
import { putSettings, readSettings } from '../live-settings.ts';
import { cleanUpAsPrimary } from './clean-up.ts';
import { type Durability, makeDurable } from './durable.ts';
import { type StreamAllowances, type StreamedDump, whyNotStreamed } from './judge-target.ts';
import { type LinkJournal, linkJournalPath, undoLink } from './link-journal.ts';
import { readDumpFormat } from './loadable-dump.ts';
import { openPrimaryLink, type PrimaryLink } from './primary-link.ts';
import { readStreamTarget } from './target-facts.ts';

export { cleanUpAsPrimary };

export interface StreamRequest {
  readonly dumpPath: string;
  /** From the manifest or `DumpFacts`; magic and version are read from the file itself. */
  readonly facts: Omit<StreamedDump, 'magic' | 'version'>;
  readonly target: RedisTarget;
  /**
   * Of the dump, from its manifest: compared before the target is touched. Left out where it has just been compared: a
   * damaged dump ends some servers while they load it.
   */
  readonly sha256?: string;
  /** The agent's state folder: the journal of what was changed lies in it. */
  readonly home: string;
  readonly allow?: StreamAllowances;
  /** Milliseconds that the target may take to connect back. Default 20,000. */
  readonly connectTimeoutMs?: number;
}

export interface StreamReport {
  /** Keys by the server's own count right after the load; some may have expired before that. */
  readonly keys: number;
  readonly replacedKeys: number;
  readonly sizeBytes: number;
  /** From REPLICAOF to a primary again, in milliseconds: writes were refused for so long. */
  readonly refusedWritesMs: number;
  readonly persisted: Durability;
  /** Like after a failover: the history goes on under a new id, and the old one is the one before. */
  readonly replicationId: { readonly before: string; readonly after: string };
  /** Replicas that were attached and have been replaced, too. */
  readonly replicas: number;
}

const pollMs = 50;
/**
 * So far behind its place the target's history goes on: beyond all that a replica of it, or an archive, can have by the time
 * that the target stops writing, for none may go on from where it was. One byte was not enough: what was written meanwhile
 * is as long as what we send behind the dump.
 */
const unreachedBytes = 2 ** 40;
const defaultConnectMs = 20_000;
/** A server that loads answers between two of its values, and one of them may be huge. */
const answerMs = 5 * 60_000;

/** What is set for the time of the load; a server without one of them is asked nothing about it. */
const settingsFor = (link: PrimaryLink): Record<string, string> => ({
  masteruser: link.user,
  masterauth: link.password,
  // The old data stays until all of the new is loaded, and comes back when it cannot be.
  'repl-diskless-load': 'swapdb',
  // A write that is accepted by a replica is lost at the end of the load.
  'replica-read-only': 'yes',
  // The link is loopback, and the listener has no certificate.
  'tls-replication': 'no',
});

/**
 * Replaces everything in a running server by a dump: makes it a replica of this process for as long as the load takes. The
 * fastest way into a server that stays up; keys that are in it and not in the dump are gone, functions too.
 *
 * The old data is kept in memory until the new is whole. Everything that is set for the time is written down first and
 * put back exactly, also by {@link cleanUpAsPrimary} after a crash. Doing it again after a failure is safe.
 *
 * The dump is offered under the target's own replication id, further on: so reads go on while it loads (Redis 7 and
 * newer), replicas and archives see a break, and the server is known by its history afterwards.
 *
 * @throws STREAM_REFUSED, RESTORE_DUMP_DIFFERS before anything is touched; STREAM_BROKEN_OFF, STREAM_NOT_UNDONE, STREAM_NOT_DURABLE;
 *   REDIS_REFUSED_LOGIN where this user may not do it; RDB_*, REDIS_* of what cannot be read or reached
 */
export async function streamAsPrimary(request: StreamRequest, io: StepIO): Promise<StreamReport> {
  const { target, home, dumpPath } = request;
  io.signal.throwIfAborted();
  await cleanUpAsPrimary(target, home);
  const dump: StreamedDump = { ...request.facts, ...(await readDumpFormat(dumpPath)) };
  const { size: sizeBytes } = await stat(dumpPath);
  const redis = await connectRedis(target, { commandTimeoutMs: answerMs });
  // A server that is frozen answers nothing: a cancelled step does not wait for it.
  const cancel = () => redis.disconnect();
  io.signal.addEventListener('abort', cancel, { once: true });
  let link: PrimaryLink | undefined;
  try {
    const facts = await readStreamTarget(redis, target);
    const reasons = whyNotStreamed(facts, dump, request.allow);
    if (reasons.length > 0) throw new RewindError('STREAM_REFUSED', reasons.join(' '));
    if (request.sha256 !== undefined) await compareDump(dumpPath, request.sha256, io);

    const before = facts.topology.replication;
    const offset = before.offset + unreachedBytes;
    const replId = /^[0-9a-f]{40}$/.test(before.id) ? before.id : randomBytes(20).toString('hex');
    link = await openPrimaryLink({ path: dumpPath, sizeBytes, replId, offset });
    const wanted = settingsFor(link);
    const settings = await readSettings(redis, Object.keys(wanted));
    const journal: LinkJournal = {
      formatVersion: 1,
      address: addressOf(target),
      runId: facts.topology.runId,
      port: link.port,
      settings,
      replicationId: before.id,
      startedAt: new Date().toISOString(),
    };
    await writeJournal(linkJournalPath(home, target), journal);
    const since = performance.now();
    await putSettings(redis, Object.fromEntries(Object.keys(settings).map((name) => [name, wanted[name]!])));
    await redis.call('REPLICAOF', '127.0.0.1', String(link.port));
    await untilLoaded(redis, link, request, sizeBytes, io);
    // As many as are there now: the next write, or the next expiry, changes it.
    const keys = keysOf(await readInfo(redis, 'keyspace'));
    await undoLink(redis, linkJournalPath(home, target));
    const refusedWritesMs = Math.round(performance.now() - since);
    link.close();
    const persisted = await makeDurable(redis, target, facts, io);
    const after = (await readInfo(redis, 'replication')).master_replid ?? '';
    return {
      keys,
      replacedKeys: facts.keys,
      sizeBytes,
      refusedWritesMs,
      persisted,
      replicationId: { before: before.id, after },
      replicas: facts.topology.replicas.length,
    };
  } catch (error) {
    link?.close();
    // Where the target is gone the journal stays, and the next call ends it; what went wrong first is the better answer.
    await cleanUpAsPrimary(target, home).catch(() => undefined);
    throw io.signal.aborted ? io.signal.reason : asBrokenOff(target, error);
  } finally {
    io.signal.removeEventListener('abort', cancel);
    link?.close();
    redis.disconnect();
  }
}

/** @throws RESTORE_DUMP_DIFFERS */
async function compareDump(path: string, wanted: string, io: StepIO): Promise<void> {
  const found = await sha256Of(path, io);
  if (found === wanted) return;
  throw new RewindError('RESTORE_DUMP_DIFFERS', `${path} has the SHA-256 ${found}, its manifest ${wanted}.`);
}

async function untilLoaded(
  redis: Redis,
  link: PrimaryLink,
  { target, connectTimeoutMs = defaultConnectMs }: StreamRequest,
  sizeBytes: number,
  io: StepIO,
): Promise<void> {
  const deadline = performance.now() + connectTimeoutMs;
  for (;;) {
    io.signal.throwIfAborted();
    const failure = link.failure();
    if (failure !== undefined) throw brokenOff(target, failure);
    if (!link.connected() && performance.now() > deadline) {
      throw brokenOff(target, `it did not connect to this process within ${connectTimeoutMs / 1000} s`);
    }
    const info = { ...(await readInfo(redis, 'replication')), ...(await readInfo(redis, 'persistence')) };
    if (info.role !== 'slave' || info.master_port !== String(link.port)) {
      throw brokenOff(target, 'somebody else made it a primary, or a replica of another server, in the meantime');
    }
    const isLoading = info.loading === '1' || info.async_loading === '1';
    if (link.acknowledged() && info.master_link_status === 'up' && !isLoading) return;
    const loaded = isLoading ? (infoNumber(info, 'loading_loaded_bytes') ?? 0) : 0;
    const done = Math.min(sizeBytes, loaded > 0 ? loaded : link.sentBytes());
    io.onProgress({ phase: 'load', done, total: sizeBytes, unit: 'bytes' });
    await sleep(pollMs, undefined, { signal: io.signal });
  }
}

function brokenOff(target: RedisTarget, why: string): RewindError {
  return new RewindError('STREAM_BROKEN_OFF', `Redis at ${addressOf(target)} did not take the dump: ${why}.`);
}

function asBrokenOff(target: RedisTarget, error: unknown): unknown {
  if (error instanceof RewindError) return error;
  const said = error instanceof Error ? error.message : String(error);
  if (said.startsWith('NOPERM')) return connectionError(target, error);
  return new RewindError('STREAM_BROKEN_OFF', `Redis at ${addressOf(target)} did not take the dump: ${said}`, {
    cause: error,
  });
}
