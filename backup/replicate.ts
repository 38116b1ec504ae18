import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { RewindError } from '../errors/rewind-error.ts';
import type { StepIO } from '../process/step-io.ts';
import { inspectRdb } from '../rdb/inspect.ts';
import type { RdbInspection } from '../rdb/inspection.ts';
import { isUnknown } from '../rdb/walk.ts';
import { withRedis } from '../redis/connection.ts';
import { redisTimeMs } from '../redis/info.ts';
import { receiveDump } from '../redis/psync.ts';
import { backupObject } from '../repository/layout.ts';
import { factsOf } from '../sandbox/dump-facts.ts';
import { type CheckedDump, dumpChecks } from './check-dump.ts';
import { checkIdentity } from './identity-check.ts';
import type { InstanceContext } from './instance-context.ts';
import type { PreflightReport } from './preflight.ts';
import { type StoredBackupObject, storeServerDescription } from './store.ts';
import type { BackupSubject } from './subject.ts';
import { unwalkedCheck, unwalkedFacts } from './unwalked-dump.ts';

/** A dump that came over a replication link. Seconds are of Redis' clock. */
export interface ReplicatedDump extends CheckedDump {
  readonly object: StoredBackupObject;
  readonly save: { readonly startedAt: number; readonly endedAt: number };
}

/** An earlier attempt's dump, cut off in the middle, is worth nothing: a replication link gives another one each time. */
export async function replicateDump(
  context: InstanceContext,
  subject: BackupSubject,
  preflight: PreflightReport,
  io: StepIO,
): Promise<ReplicatedDump> {
  const { repository, target } = context;
  const key = backupObject(subject, 'dump.rdb');
  await repository.remove(key);
  await repository.sweepUploads(key);
  const second = () => withRedis(target, redisTimeMs).then((ms) => Math.floor(ms / 1000));
  const serverJson = await storeServerDescription(context, subject);
  const startedAt = await second();
  const dump = await receiveDump(target, {
    signal: io.signal,
    onProgress: ({ phase, receivedBytes, totalBytes }) =>
      io.onProgress({ phase, done: receivedBytes, total: totalBytes, unit: 'bytes' }),
  });
  try {
    const forReader = new PassThrough({ highWaterMark: 1 << 20 });
    const inspecting = inspectRdb(forReader, { signal: io.signal });
    const storing = repository.putStream(key, tee(dump.chunks, forReader), {
      signal: io.signal,
      sizeHint: dump.length ?? preflight.usedMemoryBytes,
      bytesPerSecond: context.policy.limits.uploadBytesPerSecond,
    });
    // Damage found by the reader ends the upload, and a store that fails ends the reader.
    inspecting.catch((error) => forReader.destroy(error as Error));
    storing.catch((error) => forReader.destroy(error as Error));
    const walked = (inspection: RdbInspection): CheckedDump => ({
      facts: factsOf(inspection),
      checks: dumpChecks(inspection, startedAt),
    });
    const [checked, stored] = await Promise.all([inspecting.then(walked, notKnown(preflight)), storing]);
    if (checked.facts.ctime !== undefined && checked.facts.ctime < startedAt) {
      await repository.remove(key);
      throw new RewindError('DUMP_JOINED', 'The server attached us to a save that was running for another replica.');
    }
    // A server that had no replica takes a new replication id for us; the next run has to know it.
    await checkIdentity(context, [dump.replId, ...preflight.replicationIds]);
    const save = { startedAt, endedAt: await second() };
    const facts = { ...checked.facts, replicationId: dump.replId, replicationOffset: dump.offset };
    const object = { dump: stored, serverJson };
    return { facts, checks: checked.checks, object, save };
  } finally {
    dump.close();
  }
}

/** Hands every chunk to the reader before it goes on to the store; the slower of the two sets the pace. */
async function* tee(chunks: AsyncIterable<Buffer>, reader: PassThrough): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of chunks) {
    if (reader.destroyed) throw reader.errored ?? new Error('the reader of the dump ended');
    if (!reader.write(chunk)) await Promise.race([once(reader, 'drain'), once(reader, 'close')]);
    yield chunk;
  }
  reader.end();
}

/** The reader has had every byte of a dump that it does not know all of, so its size and digest are told. */
const notKnown =
  ({ server }: PreflightReport) =>
  (error: unknown): CheckedDump => {
    if (!isUnknown(error)) throw error;
    const { sizeBytes, sha256 } = error.details as { sizeBytes: number; sha256: string };
    const aux = { [`${server.name}-ver`]: server.version };
    return { facts: unwalkedFacts(aux, sizeBytes, sha256), checks: [unwalkedCheck(error)] };
  };
