import { createHash, randomBytes } from 'node:crypto';
import { RewindError } from '../errors/rewind-error.ts';
import { assertKey } from '../repository/object-key.ts';
import type { Encryption, Repository } from '../repository/repository.ts';

/** A few bytes that go the way of a backup, to be looked at from every role and removed again. */
export interface Probe {
  readonly key: string;
  readonly sha256: string;
}

export interface WrittenProbe extends Probe {
  readonly kind: Repository['kind'];
  /** As the store answered when it was asked anew. */
  readonly encryption: Encryption;
  readonly hasChecksum: boolean;
  /** The store's clock less the writer's, in milliseconds. */
  readonly clockSkewMs?: number;
}

/** `missing`: the reader looks at another place than the writer. */
export type ProbeReading = 'same' | 'missing' | 'differs';

const PROBE_BYTES = 1024;
/** What a check that was killed left behind, in milliseconds. */
const ABANDONED_AFTER_MS = 60 * 60_000;

const directory = (instance: string): string => `probe/${instance}/`;

/**
 * Stores a probe and asks the store anew what it has: size, encryption, key, checksum.
 *
 * @throws STORE_*, ENCRYPTION_*, UPLOAD_DAMAGED: as the upload of a backup would
 */
export async function writeProbe(repository: Repository, instance: string): Promise<WrittenProbe> {
  await sweepAbandoned(repository, instance);
  const bytes = randomBytes(PROBE_BYTES);
  const key = `${directory(instance)}${randomBytes(8).toString('hex')}`;
  const before = Date.now();
  const stored = await repository.putSmall(key, bytes);
  const midway = (before + Date.now()) / 2;
  const found = await repository.verifyStored(key, stored);
  return {
    key,
    sha256: digest(bytes),
    kind: repository.kind,
    encryption: found.encryption,
    hasChecksum: found.checksum !== undefined,
    clockSkewMs: await storeSkew(repository, key, midway),
  };
}

/** Reads a probe back, as a role that has not written it. */
export async function readProbe(repository: Repository, { key, sha256 }: Probe): Promise<ProbeReading> {
  try {
    return digest(await repository.readSmall(key, 2 * PROBE_BYTES)) === sha256 ? 'same' : 'differs';
  } catch (error) {
    if (error instanceof RewindError && error.code === 'OBJECT_MISSING') return 'missing';
    throw error;
  }
}

export async function removeProbe(repository: Repository, { key }: Pick<Probe, 'key'>): Promise<void> {
  assertKey(key);
  if (!key.startsWith('probe/')) throw new RewindError('REPOSITORY_NAME_INVALID', `${key} is no probe.`);
  await repository.remove(key);
}

/** Undefined where the listing does not show it yet. */
async function storeSkew(repository: Repository, key: string, storedAt: number): Promise<number | undefined> {
  for await (const listed of repository.list(key)) return Math.round(listed.modified.getTime() - storedAt);
  return undefined;
}

async function sweepAbandoned(repository: Repository, instance: string): Promise<void> {
  for await (const { key, modified } of repository.list(directory(instance))) {
    if (Date.now() - modified.getTime() > ABANDONED_AFTER_MS) await repository.remove(key);
  }
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
