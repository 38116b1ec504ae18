import { constants } from 'node:fs';
import { access, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { readJournal, writeJournal } from '../journal.ts';
import { sha256Of, syncFolder } from './durable-files.ts';
import { buildIncoming, dataNames, type FilesRequest, namesOf } from './incoming.ts';

export interface PlacedFiles {
  readonly dir: string;
  /** Names in `dir`. */
  readonly files: readonly string[];
  readonly sha256: string;
  readonly sizeBytes: number;
  /** A server starts on them so: arguments for redis-server, without the program. */
  readonly startWith: readonly string[];
}

/** Hidden: no server looks for it. */
const marker = '.rewind-restore.json';
const incoming = '.rewind-incoming';

interface Marker {
  readonly formatVersion: 1;
  readonly state: 'placing' | 'placed';
  readonly aof: boolean;
  readonly names: readonly string[];
  readonly sha256?: string;
  readonly sizeBytes?: number;
  /** Of the data files, when they were placed: a server that was started on them has changed them. */
  readonly changedAt?: Readonly<Record<string, number>>;
}

/**
 * Puts files that a server can be started on into a folder that is empty, not there yet, or holds what an earlier call
 * for the same dump has put there. A call that was killed leaves nothing under the names that a server reads; the next
 * one begins again.
 *
 * @throws RESTORE_DIR_UNUSABLE, RESTORE_DIR_NOT_EMPTY, RESTORE_DUMP_DIFFERS, DISK_FULL, RDB_READ_FAILED
 */
export async function placeFiles(request: FilesRequest, io: StepIO): Promise<PlacedFiles> {
  const { dir } = request;
  await makeUsable(dir);
  const left = await readJournal<Marker>(join(dir, marker)).catch(() => undefined);
  await refuseForeign(dir, left);
  if (left?.state === 'placed') {
    if (await isSame(left, request, io)) return placedFrom(left, request);
    throw notEmpty(dir, 'another restore, or a server has written to it since');
  }
  for (const name of left?.names ?? []) await rm(join(dir, name), { recursive: true, force: true });
  const placing: Marker = { formatVersion: 1, state: 'placing', aof: request.aof, names: expectedNames(request) };
  await writeJournal(join(dir, marker), placing);
  const built = await buildIncoming(join(dir, incoming), request, io);
  for (const name of built.names) await rename(join(dir, incoming, name), join(dir, name));
  await rm(join(dir, incoming), { recursive: true });
  await syncFolder(dir);
  const { names, sha256, sizeBytes } = built;
  const placed: Marker = {
    ...placing,
    state: 'placed',
    names,
    sha256,
    sizeBytes,
    changedAt: await times(dir, request),
  };
  await writeJournal(join(dir, marker), placed);
  return placedFrom(placed, request);
}

async function makeUsable(dir: string): Promise<void> {
  const unusable = (why: string, cause?: unknown) =>
    new RewindError('RESTORE_DIR_UNUSABLE', `${dir} cannot be restored into: ${why}.`, { cause });
  if (!isAbsolute(dir)) throw unusable('it is no absolute path');
  await mkdir(dir, { recursive: true, mode: 0o750 }).catch((cause: Error) => {
    throw unusable(cause.message, cause);
  });
  await access(dir, constants.R_OK | constants.W_OK | constants.X_OK).catch((cause) => {
    throw unusable('this user may not write to it', cause);
  });
}

/** @throws RESTORE_DIR_NOT_EMPTY */
async function refuseForeign(dir: string, left: Marker | undefined): Promise<void> {
  const own = new Set([marker, `${marker}.part`, incoming, ...(left?.names ?? [])]);
  const foreign = (await readdir(dir)).filter((name) => !own.has(name));
  if (foreign.length > 0) {
    throw notEmpty(dir, `${foreign.slice(0, 3).join(', ')}${foreign.length > 3 ? ', …' : ''}`);
  }
}

const notEmpty = (dir: string, what: string): RewindError =>
  new RewindError('RESTORE_DIR_NOT_EMPTY', `${dir} is not empty: it holds ${what}.`);

const expectedNames = (request: FilesRequest): string[] => [
  ...dataNames(request),
  ...(request.description ? ['users.acl.proposed', 'redis.conf.proposed'] : []),
];

async function isSame(left: Marker, request: FilesRequest, io: StepIO): Promise<boolean> {
  if (left.aof !== request.aof) return false;
  if (!dataNames(request).every((name) => left.names.includes(name))) return false;
  if (JSON.stringify(await times(request.dir, request)) !== JSON.stringify(left.changedAt)) return false;
  return left.sha256 === (request.sha256 ?? (await sha256Of(request.dumpPath, io)));
}

/** When each data file was last written to, in milliseconds; 0 for one that is gone. */
async function times(dir: string, request: FilesRequest): Promise<Record<string, number>> {
  const found = await Promise.all(
    dataNames(request).map(async (name) => {
      const entry = await stat(join(dir, name)).catch(() => undefined);
      return [name, entry?.mtimeMs ?? 0] as const;
    }),
  );
  return Object.fromEntries(found);
}

function placedFrom(placed: Marker, request: FilesRequest): PlacedFiles {
  const { dbfilename, appendfilename, appenddirname } = namesOf(request);
  const names = dataNames(request);
  return {
    dir: request.dir,
    files: placed.names,
    sha256: placed.sha256 ?? '',
    sizeBytes: placed.sizeBytes ?? 0,
    startWith: [
      ...['--dir', request.dir, '--appendonly', request.aof ? 'yes' : 'no'],
      ...(names.includes(dbfilename) ? ['--dbfilename', dbfilename] : []),
      ...(names.includes(appendfilename) || names.includes(appenddirname) ? ['--appendfilename', appendfilename] : []),
      ...(names.includes(appenddirname) ? ['--appenddirname', appenddirname] : []),
    ],
  };
}
