import { createHash, randomBytes } from 'node:crypto';
import * as z from 'zod';
import type { RewindError } from '../errors/rewind-error.ts';
import { checkDocument, type DocumentKind, invalidDocument, parseDocument } from '../repository/document.ts';
import type { Repository } from '../repository/repository.ts';
import { unlessTaken } from '../repository/unless-taken.ts';

/** Raised only by a change that an older reader must not ignore. */
const FORMAT_VERSION = 1;
const kind: DocumentKind = { code: 'FENCE_RECORD_INVALID' };

/** Records are read back from a place that others may write to: everything in them is bounded. */
const RECORD_BYTES = 16 * 1024 * 1024;
const USERS = 50_000;
/** Fences of one instance, and later users of one fence, that are read. */
const FENCES = 10_000;
const ADDED = 10_000;

const FENCE_ID = /^[A-Za-z0-9_][A-Za-z0-9._=-]{0,127}$/;

const name = z.string().min(1).max(1_024);
const rule = z.string().startsWith('user ').max(1_048_576);
const time = z.iso.datetime();
const runId = z.string().max(64);
const of = {
  formatVersion: z.literal(FORMAT_VERSION),
  instance: z.string().min(1).max(128),
  fenceId: z.string().regex(FENCE_ID),
};

/** `runId`: of its first run, which a reset keeps; another run under the same id does not hold this fence. */
const owner = z.object({ workflowId: z.string().max(1_024).optional(), runId: z.string().max(64).optional() });

/** What was there before the fence. Written before the first user is changed. */
export const fenceRecordSchema = z.object({
  ...of,
  owner,
  /** By the server's clock. */
  fencedAt: time,
  /** Of the server: another one means that it was restarted, and that users changed at runtime are as before. */
  runId,
  /** Each with its line of ACL LIST, hashes of passwords in it, as `server.json` has them. */
  users: z.array(z.object({ name, rule })).max(USERS),
  /** The product's own user while it is fenced. */
  ownUser: name,
  /** Whether users are kept in an aclfile; false also where that could not be read. */
  aclFile: z.boolean(),
});
export type FenceRecord = z.output<typeof fenceRecordSchema>;

/** A user that was fenced later: a new one, one that somebody gave rights to, or one that a restart brought back. */
export const addedSchema = z.object({
  ...of,
  name,
  rule,
  why: z.enum(['new', 'changed', 'restarted']),
  seenAt: time,
  runId,
});
export type AddedUser = z.output<typeof addedSchema>;

/** A restart of the server on which the fence was put in force again. */
const runSchema = z.object({ ...of, runId, at: time });

/** A run that took the fence over from one that is gone. */
const ownerSchema = z.object({ ...of, owner, at: time });

const endSchema = z.object({ ...of, at: time });

/** A fence that was not undone, with all that is known of it. */
export interface OpenFence {
  /** Its `owner` is who holds the fence now. */
  readonly record: FenceRecord;
  /** In the order in which they were fenced. */
  readonly added: readonly AddedUser[];
  /** The run of the server on which it was last put in force. */
  readonly runId: string;
  /** True once its undoing has begun: from then on nothing is fenced under its id. */
  readonly ending: boolean;
}

const fencesDirectory = (instance: string): string => `fences/${instance}/`;
const fenceDirectory = (instance: string, fenceId: string): string => `${fencesDirectory(instance)}${fenceId}/`;

/** @throws FENCE_RECORD_INVALID for what cannot stand in a name */
export function assertFenceId(fenceId: string): void {
  if (!FENCE_ID.test(fenceId)) throw invalid(JSON.stringify(fenceId.slice(0, 128)), 'it is no id of a fence');
}

/** `rewind-1f3a9c04`: the same for the same fence, so that a step that is done again finds its user. */
export function ownUserOf(instance: string, fenceId: string): string {
  return `rewind-${createHash('sha256').update(`${instance}/${fenceId}`).digest('hex').slice(0, 8)}`;
}

/** Every name that {@link ownUserOf} can give. */
export const OWN_USER = /^rewind-[0-9a-f]{8}$/;

/** Stores what was there before. @throws OBJECT_EXISTS where this fence has a record with other content */
export async function openFence(repository: Repository, record: FenceRecord): Promise<void> {
  await put(repository, record, 'fence.json', fenceRecordSchema, record);
}

export async function addFenced(repository: Repository, added: AddedUser): Promise<void> {
  await put(repository, added, `added-${randomBytes(8).toString('hex')}.json`, addedSchema, added);
}

/** The fence is put in force on another run of the server. Twice is fine. */
export async function addRun(repository: Repository, fence: FenceRecord, runId: string, at: string): Promise<void> {
  const { instance, fenceId } = fence;
  const run = { formatVersion: FORMAT_VERSION, instance, fenceId, runId, at } as const;
  await put(repository, fence, `run-${randomBytes(8).toString('hex')}.json`, runSchema, run);
}

/** Somebody else holds it from now on. Twice is fine. */
export async function addOwner(
  repository: Repository,
  fence: FenceRecord,
  owner: FenceRecord['owner'],
  at: string,
): Promise<void> {
  const { instance, fenceId } = fence;
  const taken = { formatVersion: FORMAT_VERSION, instance, fenceId, owner, at } as const;
  await put(repository, fence, `owner-${randomBytes(8).toString('hex')}.json`, ownerSchema, taken);
}

/** From now on nothing is fenced under this id. Twice is fine. */
export function beginEnding(repository: Repository, fence: FenceRecord, at: string): Promise<void> {
  return putOnce(repository, fence, 'ending.json', at);
}

/** It was undone. Twice is fine. */
export function closeFence(repository: Repository, fence: FenceRecord, at: string): Promise<void> {
  return putOnce(repository, fence, 'end.json', at);
}

export async function hasBegunToEnd(repository: Repository, instance: string, fenceId: string): Promise<boolean> {
  const directory = fenceDirectory(instance, fenceId);
  const found = await Promise.all(['ending.json', 'end.json'].map((file) => repository.stat(`${directory}${file}`)));
  return found.some((object) => object !== undefined);
}

/**
 * The fences of an instance that were not undone, oldest first.
 *
 * @throws FENCE_RECORD_INVALID: one that cannot be read must not be taken for none
 */
export async function findOpenFences(repository: Repository, instance: string): Promise<OpenFence[]> {
  const files = await listFences(repository, instance);
  const open = [...files].filter(([, names]) => names.has('fence.json') && !names.has('end.json'));
  const fences = await Promise.all(open.map(([fenceId, names]) => readFence(repository, instance, fenceId, names)));
  return fences.sort((a, b) => (a.record.fencedAt < b.record.fencedAt ? -1 : 1));
}

/** The files of each fence, by its id. What is not of a fence is passed over. */
async function listFences(repository: Repository, instance: string): Promise<Map<string, Set<string>>> {
  const directory = fencesDirectory(instance);
  const files = new Map<string, Set<string>>();
  for await (const { key } of repository.list(directory)) {
    const [fenceId = '', file, ...rest] = key.slice(directory.length).split('/');
    if (!file || rest.length > 0 || !FENCE_ID.test(fenceId)) continue;
    const names = files.get(fenceId) ?? new Set();
    files.set(fenceId, names.add(file));
    if (files.size > FENCES) throw invalid(directory, `it holds more than ${FENCES} fences`);
  }
  return files;
}

async function readFence(
  repository: Repository,
  instance: string,
  fenceId: string,
  names: ReadonlySet<string>,
): Promise<OpenFence> {
  const directory = fenceDirectory(instance, fenceId);
  const read = async <T extends { instance: string; fenceId: string }>(file: string, schema: z.ZodType<T>) => {
    const key = `${directory}${file}`;
    const document = parseDocument(kind, schema, await repository.readSmall(key, RECORD_BYTES), key);
    if (document.instance !== instance || document.fenceId !== fenceId) throw invalid(key, 'it is of another fence');
    return document;
  };
  const filesOf = (kind: string) =>
    [...names].filter((file) => new RegExp(`^${kind}-[0-9a-f]{1,64}\\.json$`).test(file));
  const [later, restarts, taken] = [filesOf('added'), filesOf('run'), filesOf('owner')];
  if (later.length + restarts.length + taken.length > ADDED) {
    throw invalid(directory, `it holds more than ${ADDED} later users`);
  }
  const record = await read('fence.json', fenceRecordSchema);
  // Who could name another user here could have it deleted.
  if (record.ownUser !== ownUserOf(instance, fenceId))
    throw invalid(`${directory}fence.json`, 'ownUser is another one');
  const added = await Promise.all(later.map((file) => read(file, addedSchema)));
  const runs = await Promise.all(restarts.map((file) => read(file, runSchema)));
  runs.sort((a, b) => (a.at < b.at ? -1 : 1));
  const owners = await Promise.all(taken.map((file) => read(file, ownerSchema)));
  owners.sort((a, b) => (a.at < b.at ? -1 : 1));
  return {
    record: { ...record, owner: owners.at(-1)?.owner ?? record.owner },
    added: added.sort((a, b) => (a.seenAt < b.seenAt ? -1 : 1)),
    runId: runs.at(-1)?.runId ?? record.runId,
    ending: names.has('ending.json'),
  };
}

async function putOnce(repository: Repository, { instance, fenceId }: FenceRecord, file: string, at: string) {
  if (await repository.stat(`${fenceDirectory(instance, fenceId)}${file}`)) return;
  const marker = { formatVersion: FORMAT_VERSION, instance, fenceId, at } as const;
  // Somebody else may say the same a moment before.
  await unlessTaken(() => put(repository, marker, file, endSchema, marker));
}

async function put<T>(
  repository: Repository,
  { instance, fenceId }: { instance: string; fenceId: string },
  file: string,
  schema: z.ZodType<T>,
  document: T,
): Promise<void> {
  const key = `${fenceDirectory(instance, fenceId)}${file}`;
  await repository.putSmall(key, encode(schema, document, key));
}

function encode<T>(schema: z.ZodType<T>, document: T, key: string): Buffer {
  const bytes = Buffer.from(`${JSON.stringify(checkDocument(kind, schema, document, key), null, 2)}\n`);
  if (bytes.length > RECORD_BYTES) throw invalid(key, `it has ${bytes.length} bytes`);
  return bytes;
}

/** Never quotes what it read: there are hashes of passwords in it. */
const invalid = (key: string, what: string): RewindError => invalidDocument(kind, key, what);
