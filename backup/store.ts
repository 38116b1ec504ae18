import type { StepIO } from '../process/step-io.ts';
import { withRedis } from '../redis/connection.ts';
import { readInfo, serverVersion } from '../redis/info.ts';
import { describeServer } from '../redis/server-description.ts';
import { backupObject } from '../repository/layout.ts';
import type { StoredObject, UploadCursor } from '../repository/repository.ts';
import type { Check } from '../sandbox/check.ts';
import { defaultsOf } from '../sandbox/measured-defaults.ts';
import type { InstanceContext } from './instance-context.ts';
import type { PinnedBytes } from './pin.ts';
import type { BackupSubject } from './subject.ts';

/** What the store says of the objects of one backup. */
export interface StoredBackupObject {
  readonly dump: StoredObject;
  readonly serverJson: StoredObject;
}

/**
 * Stores the dump and the description of its server. Goes on where an earlier attempt was cut off, or with what was stored
 * while the dump was written.
 */
export async function storeDump(
  context: InstanceContext,
  subject: BackupSubject,
  bytes: PinnedBytes,
  sizeBytes: number,
  io: StepIO & { resumeFrom?: UploadCursor; onCursor: (cursor: UploadCursor) => void },
): Promise<StoredBackupObject> {
  // First, because some stores list an open upload only below a directory that has an object: the sweep finds it then.
  const serverJson = await storeServerDescription(context, subject);
  const dump = await context.repository.putFile(backupObject(subject, 'dump.rdb'), bytes, {
    sizeBytes,
    signal: io.signal,
    resume: io.resumeFrom,
    onCursor: io.onCursor,
    bytesPerSecond: context.policy.limits.uploadBytesPerSecond,
    onProgress: (done, total) => io.onProgress({ phase: 'upload', done, total, unit: 'bytes' }),
  });
  return { dump, serverJson };
}

/** A server restored without its users and settings is not restored: they go beside the dump. */
export async function storeServerDescription(context: InstanceContext, subject: BackupSubject): Promise<StoredObject> {
  const key = backupObject(subject, 'server.json');
  const there = await context.repository.stat(key);
  // An earlier attempt's description stands: names are never overwritten, and a live server's settings may have moved on.
  if (there) return there;
  const description = await withRedis(context.target, async (redis) => {
    const defaults = await defaultsOf(serverVersion(await readInfo(redis, 'server')));
    return describeServer(redis, { includeAcl: context.policy.backup.includeAcl, defaults });
  });
  return context.repository.putSmall(key, Buffer.from(`${JSON.stringify(description, null, 2)}\n`));
}

/** Asks the store anew whether the objects are there as asked for: never trust the 200 of an upload. */
export async function confirmStored(context: InstanceContext, object: StoredBackupObject): Promise<Check> {
  await context.repository.verifyStored(object.serverJson.key, object.serverJson);
  const found = await context.repository.verifyStored(object.dump.key, object.dump);
  const { sse, kmsKeyId } = found.encryption;
  const encryption = sse === 'none' ? 'not encrypted' : `encrypted (${sse}${kmsKeyId ? `, ${kmsKeyId}` : ''})`;
  const checksum = found.checksum
    ? `${found.checksum.algorithm} as computed here`
    : 'the store returns no checksum; its bytes are read back in the proof';
  return {
    name: 'stored',
    result: 'ok',
    detail: `in the store: ${found.sizeBytes} bytes, ${encryption}, ${checksum}`,
    figures: { sizeBytes: found.sizeBytes, sse },
  };
}
