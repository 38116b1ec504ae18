import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { dumpChecks } from '../../backup/check-dump.ts';
import { verificationOf } from '../../backup/publish.ts';
import { judge } from '../../backup/verdict.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { inspectRdb } from '../../rdb/inspect.ts';
import { redisTimeMs } from '../../redis/info.ts';
import { type BackupEntry, findBackup } from '../../repository/catalogue.ts';
import { type BackupName, backupObject, newBackupId } from '../../repository/layout.ts';
import type { Manifest } from '../../repository/manifest.ts';
import { publishManifest, quarantine } from '../../repository/publish.ts';
import { factsOf } from '../../sandbox/dump-facts.ts';
import { type ProofSettings, proveStored } from '../../sandbox/prove.ts';
import { loadMoment } from './load-moment.ts';
import type { Moment } from './moment.ts';
import type { ArchivePlace } from './records.ts';
import { storeServerOfMoment } from './server-of-moment.ts';

/**
 * Makes a moment a backup as any other: laid down, loaded by a real server (which proves the replay), saved, stored, and
 * proven by loading the dump. It is flagged with what it is, so that `latest` never means it; restored it is by its id, in
 * every way that a backup is.
 *
 * @param at when it was asked for: a repetition with the same time finds what the first one made
 * @throws ARCHIVE_MOMENT_REFUSED and those of laying it down, saving and storing
 */
export async function materializeMoment(
  place: ArchivePlace,
  moment: Moment,
  at: Date,
  sandbox: ProofSettings & { readonly home: string },
  io: StepIO,
): Promise<BackupEntry> {
  const { repository, instance } = place;
  const nonce = createHash('sha256').update(JSON.stringify(moment)).digest('hex');
  const name: BackupName = { instance, tier: 'hourly', backupId: newBackupId(at, nonce) };
  const there = await findBackup(repository, instance, name.backupId).catch(unlessUnknown);
  if (there) return there;
  const saved = await loadMoment(place, moment, sandbox, io, async (redis, loaded, dir) => {
    const startedAt = Math.floor((await redisTimeMs(redis)) / 1_000);
    io.onProgress({ phase: 'save' });
    await redis.call('SAVE');
    const path = join(dir, 'dump.rdb');
    const inspection = await inspectRdb({ path }, { signal: io.signal });
    const { size } = await stat(path);
    const serverFile = await storeServerOfMoment(place, moment, name);
    const key = backupObject(name, 'dump.rdb');
    const object = await repository.putFile(
      key,
      { path },
      {
        sizeBytes: size,
        signal: io.signal,
        onProgress: (done, total) => io.onProgress({ phase: 'upload', done, total, unit: 'bytes' }),
      },
    );
    return { inspection, object, serverFile, startedAt, loaded };
  });
  const { inspection, object, serverFile, startedAt } = saved;
  const facts = factsOf(inspection);
  const found = await repository.verifyStored(object.key, object);
  const stored = { name: 'stored', result: 'ok', detail: `in the store: ${found.sizeBytes} bytes` } as const;
  const proof = await proveStored(
    repository,
    { id: name.backupId, key: object.key, sizeBytes: object.sizeBytes, facts },
    sandbox,
    io,
  );
  const checks = [...dumpChecks(inspection, startedAt), stored, ...proof.checks];
  const verdict = judge(checks, undefined, undefined, 0);
  const manifest: Manifest = {
    formatVersion: 1,
    ...name,
    // Who wrote the dump says who can load it.
    server: { identity: moment.identity, name: moment.server.name, version: saved.loaded.server.version },
    rdb: { magic: facts.magic, version: facts.rdbVersion },
    source: 'dump-file',
    // What was written before the moment is in there; the save itself says nothing of that.
    save: { startedAt: new Date(moment.timeMs).toISOString(), endedAt: new Date(moment.timeMs).toISOString() },
    replication: {},
    dump: {
      file: 'dump.rdb',
      sizeBytes: facts.sizeBytes,
      sha256: facts.sha256,
      compression: 'none',
      encryption: object.encryption,
      storeChecksum: object.checksum ?? null,
    },
    serverFile,
    keys: { total: facts.keys, withExpiry: facts.keysWithExpiry, byDatabase: facts.keysByDatabase },
    functionLibraries: facts.functionLibraries,
    modules: [...facts.modules],
    moment: { timeline: moment.timeline, position: moment.position },
    ...verdict,
    flagged: sentenceOf(moment, moment.omit?.length ? saved.loaded.refusedCommands : 0),
    verifications: checks.map(verificationOf),
    proof: proof.load &&
      proof.server && { downloadMs: proof.downloadMs ?? 0, loadMs: proof.load.loadMs, server: { ...proof.server } },
  };
  return verdict.state === 'failed' ? quarantine(repository, manifest) : publishManifest(repository, manifest);
}

/** What stands at the backup. */
export function sentenceOf({ timeMs, timeline, position, omit }: Moment, refusedCommands = 0): string {
  const refused = refusedCommands > 0 ? `; ${refusedCommands} commands were refused by what was there then` : '';
  const without = omit?.length ? `, without what was to be left out${refused}` : '';
  return `the state as of ${new Date(timeMs).toISOString()} (position ${position}, timeline ${timeline}) from the archive${without}`;
}

function unlessUnknown(error: unknown): undefined {
  if (error instanceof RewindError && error.code === 'BACKUP_UNKNOWN') return undefined;
  throw error;
}
