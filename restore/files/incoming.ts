import { mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import type { ServerDescription } from '../../redis/server-description.ts';
import { copyDurably, giveTo, linkOrCopy, needRoom, syncFolder, writeTextDurably } from './durable-files.ts';
import { defaultNames, firstBase, isMultiPart } from './file-form.ts';
import { aclProposal, configurationProposal } from './proposals.ts';

/** What is to lie in a folder, for which server. */
export interface FilesRequest {
  readonly dumpPath: string;
  /** Of the dump, from its manifest: compared while it is copied. */
  readonly sha256?: string;
  /** Absolute. */
  readonly dir: string;
  /** Whether the server that starts on it has its append-only file on: it ignores dump.rdb then. */
  readonly aof: boolean;
  /** Who will start on it: the form of an append-only file goes by its version. */
  readonly server: { readonly name: 'redis' | 'valkey'; readonly version: string };
  readonly dbfilename?: string;
  readonly appendfilename?: string;
  readonly appenddirname?: string;
  /** Of the backup's server: its users and settings are written beside as proposals. */
  readonly description?: ServerDescription;
}

export interface Incoming {
  /** Names in the folder, files and folders, in the order that they are to be put in place. */
  readonly names: readonly string[];
  readonly sha256: string;
  readonly sizeBytes: number;
}

export const namesOf = (request: FilesRequest) => ({
  dbfilename: request.dbfilename ?? defaultNames.dbfilename,
  appendfilename: request.appendfilename ?? defaultNames.appendfilename,
  appenddirname: request.appenddirname ?? defaultNames.appenddirname,
});

/** What the request will have put into its folder, without the proposals. */
export function dataNames(request: FilesRequest): string[] {
  const { dbfilename, appendfilename, appenddirname } = namesOf(request);
  if (!request.aof) return [dbfilename];
  // An append-only file in one piece is appended to in place: it cannot share its bytes with a dump.
  return isMultiPart(request.server) ? [appenddirname, dbfilename] : [appendfilename];
}

/**
 * Writes all that the request asks for into a folder of its own, so that it only has to be renamed into place. With the
 * append-only file on, the dump is its base (the same bytes under two names), so that the server loads it whichever way it
 * is started.
 *
 * @param folder made here, in the file system of `request.dir`; removed again when this fails
 * @throws DISK_FULL, RESTORE_DUMP_DIFFERS, RDB_READ_FAILED
 */
export async function buildIncoming(folder: string, request: FilesRequest, io: StepIO): Promise<Incoming> {
  const { size } = await stat(request.dumpPath).catch((cause: Error) => {
    throw new RewindError('RDB_READ_FAILED', `${request.dumpPath} cannot be read: ${cause.message}`, { cause });
  });
  await needRoom(request.dir, size);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { mode: 0o750 });
  await giveTo(folder, request.dir);
  try {
    const { dbfilename, appendfilename, appenddirname } = namesOf(request);
    const names = dataNames(request);
    const first = join(folder, names.includes(dbfilename) ? dbfilename : appendfilename);
    const copied = await copyDurably(request.dumpPath, first, { sha256: request.sha256, owner: request.dir }, io);
    if (names.includes(appenddirname)) {
      const parts = join(folder, appenddirname);
      await mkdir(parts, { mode: 0o750 });
      await giveTo(parts, request.dir);
      const { base, manifest, manifestText } = firstBase(appendfilename);
      await linkOrCopy(first, join(parts, base), request.dir, io);
      await writeTextDurably(join(parts, manifest), manifestText, request.dir);
      await syncFolder(parts);
    }
    const { description, dir } = request;
    const proposals = description ? await writeProposals(folder, description, dir) : [];
    await syncFolder(folder);
    return { names: [...names, ...proposals], ...copied };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Never under the names that a server reads: a person compares, and renames. */
async function writeProposals(folder: string, description: ServerDescription, owner: string): Promise<string[]> {
  const acl = aclProposal(description);
  if (acl !== undefined) await writeTextDurably(join(folder, 'users.acl.proposed'), acl, owner);
  await writeTextDurably(join(folder, 'redis.conf.proposed'), configurationProposal(description), owner);
  return [...(acl === undefined ? [] : ['users.acl.proposed']), 'redis.conf.proposed'];
}
