import { randomUUID } from 'node:crypto';
import * as z from 'zod';
import { RewindError } from '../errors/rewind-error.ts';
import { identityDirectory } from './layout.ts';
import { decodeDocument, encodeDocument } from './manifest.ts';
import type { Repository } from './repository.ts';
import { unlessTaken } from './unless-taken.ts';

/** Enough lineage to recognise a server by; older ids are let go. */
const IDS = 64;
const IDENTITY_BYTES = 64 * 1024;

export const identitySchema = z.object({
  formatVersion: z.literal(1),
  instance: z.string().min(1).max(128),
  /** Of the instance; it stays through restarts, failovers and restores. */
  id: z.uuid(),
  createdAt: z.iso.datetime(),
  /** Replication ids that its servers were seen with, the newest last. */
  replicationIds: z.array(z.string().min(1).max(64)).max(IDS),
  /** `host:port` of the primary and the listed replicas when it was written. */
  addresses: z.array(z.string().min(1).max(300)).max(IDS),
  change: z.enum(['created', 'extended', 'adopted']),
  recordedAt: z.iso.datetime(),
});

export type InstanceIdentity = z.output<typeof identitySchema>;

/** What a server shows of itself. */
export interface ServerSigns {
  /** Its current replication id first, then the one before it. */
  readonly replicationIds: readonly string[];
  /** `host:port` of the primary and of the replicas that the configuration lists. */
  readonly addresses: readonly string[];
}

/** Who the repository says that the instance is; undefined before its first backup. @throws MANIFEST_INVALID */
export async function readIdentity(repository: Repository, instance: string): Promise<InstanceIdentity | undefined> {
  return (await newest(repository, instance))?.identity;
}

/** The identity of an instance that has none yet. Of two at once one makes it, and both get that one. */
export async function createIdentity(
  repository: Repository,
  instance: string,
  signs: ServerSigns,
): Promise<InstanceIdentity> {
  const now = new Date().toISOString();
  const made: InstanceIdentity = {
    ...newSigns(signs),
    formatVersion: 1,
    instance,
    id: randomUUID(),
    createdAt: now,
    change: 'created',
    recordedAt: now,
  };
  const there = await readIdentity(repository, instance);
  if (there) return there;
  if (await append(repository, instance, 1, made)) return made;
  return (await readIdentity(repository, instance)) as InstanceIdentity;
}

/** Remembers what the instance's server shows now; without anything new nothing is written. */
export async function extendIdentity(
  repository: Repository,
  instance: string,
  signs: ServerSigns,
): Promise<InstanceIdentity> {
  return change(repository, instance, (identity) => {
    const known = signs.replicationIds.every((id) => identity.replicationIds.includes(id));
    const sameAddresses = identity.addresses.toString() === newSigns(signs).addresses.toString();
    if (known && sameAddresses) return undefined;
    const { replicationIds, addresses } = newSigns(signs, identity.replicationIds);
    return { ...identity, replicationIds, addresses, change: 'extended' };
  });
}

/** A person said that this server is the instance from now on: its backups go on under the same identity. */
export async function adoptIdentity(
  repository: Repository,
  instance: string,
  signs: ServerSigns,
): Promise<InstanceIdentity> {
  return change(repository, instance, (identity) => ({
    ...identity,
    ...newSigns(signs, identity.replicationIds),
    change: 'adopted',
  }));
}

/** Racing writers each append a numbered version; whose number is taken reads again. */
async function change(
  repository: Repository,
  instance: string,
  next: (identity: InstanceIdentity) => InstanceIdentity | undefined,
): Promise<InstanceIdentity> {
  for (;;) {
    const current = await newest(repository, instance);
    if (!current) throw new RewindError('OBJECT_MISSING', `${instance} has no identity in ${repository.url} yet.`);
    const changed = next(current.identity);
    if (!changed) return current.identity;
    const recorded = { ...changed, recordedAt: new Date().toISOString() };
    if (await append(repository, instance, current.version + 1, recorded)) return recorded;
  }
}

async function newest(
  repository: Repository,
  instance: string,
): Promise<{ identity: InstanceIdentity; version: number } | undefined> {
  let last: string | undefined;
  for await (const { key } of repository.list(identityDirectory(instance))) {
    if (/\/\d{8}\.json$/.test(key) && (last === undefined || key > last)) last = key;
  }
  if (last === undefined) return undefined;
  const identity = decodeDocument(identitySchema, await repository.readSmall(last, IDENTITY_BYTES), last);
  return { identity, version: Number(last.slice(-13, -5)) };
}

/** @returns false when somebody else was first */
async function append(
  repository: Repository,
  instance: string,
  version: number,
  identity: InstanceIdentity,
): Promise<boolean> {
  const key = `${identityDirectory(instance)}${String(version).padStart(8, '0')}.json`;
  return unlessTaken(() => repository.putSmall(key, encodeDocument(identitySchema, identity)));
}

function newSigns(
  signs: ServerSigns,
  known: readonly string[] = [],
): Pick<InstanceIdentity, 'replicationIds' | 'addresses'> {
  const ids = [...known.filter((id) => !signs.replicationIds.includes(id)), ...signs.replicationIds];
  return { replicationIds: ids.slice(-IDS), addresses: [...new Set(signs.addresses)].slice(0, IDS) };
}
