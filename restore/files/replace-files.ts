import { mkdir, rename, rm, rmdir } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { readJournal, removeJournal, writeJournal } from '../journal.ts';
import { exists, giveTo, sha256Of, syncFolder } from './durable-files.ts';
import { buildIncoming, dataNames, type FilesRequest, namesOf } from './incoming.ts';

export interface ReplaceRequest extends FilesRequest {
  /** Of the restore: only the same one finds that it was done already; a server has written to the files of another since. */
  readonly restoreId: string;
  /** Asked before anything is moved: a server that runs would write its memory over the new files. */
  readonly isRunning: () => Promise<boolean>;
}

export interface ReplacedFiles {
  readonly dir: string;
  /** Folder in `dir` with what was there; undefined where nothing was. */
  readonly aside?: string;
  /** Names that were moved there. */
  readonly movedAside: readonly string[];
  readonly placed: readonly string[];
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** What is being done to a server's folder. It lies in that folder, so that whoever comes finds it. */
interface ReplaceJournal {
  readonly formatVersion: 1;
  readonly state: 'building' | 'swapping' | 'replaced' | 'withdrawing' | 'restoring';
  readonly startedAt: string;
  /** Whose files these are; absent in what an older version wrote. */
  readonly restoreId?: string;
  readonly incoming: string;
  readonly aside: string;
  readonly withdrawn: string;
  /** What is moved aside: all names by which this server could find data. */
  readonly old: readonly string[];
  readonly placed: readonly string[];
  readonly data: readonly string[];
  readonly sha256?: string;
  readonly sizeBytes?: number;
}

const journalFile = '.rewind-replace.json';

/**
 * Gives a stopped server other files to start on. What it has is moved into `rewind-aside-<time>/` beside, never deleted;
 * the new files are complete and on disk before the first of the old ones moves. Killed at any point, the same call ends it
 * (once the old files move, by going on), and so does {@link recoverReplacement}; {@link putBack} undoes it.
 *
 * @throws RESTORE_SERVER_RUNNING, RESTORE_DIR_UNUSABLE, RESTORE_DUMP_DIFFERS, DISK_FULL, RDB_READ_FAILED
 */
export async function replaceServerFiles(request: ReplaceRequest, io: StepIO): Promise<ReplacedFiles> {
  const { dir } = request;
  if (isAbsolute(dir)) await makeAgain(dir);
  if (!isAbsolute(dir) || !(await exists(dir))) {
    throw new RewindError('RESTORE_DIR_UNUSABLE', `${dir} is not the absolute path of a folder that is there.`);
  }
  await refuseRunning(request);
  const left = await recoverReplacement(dir);
  const wanted = dataNames(request);
  const isOurs = left?.state === 'replaced' && left.restoreId === request.restoreId;
  if (isOurs && wanted.join() === left.data.join() && (await allThere(dir, wanted))) {
    if (left.sha256 === (request.sha256 ?? (await sha256Of(request.dumpPath, io)))) return reportOf(dir, left);
  }
  const stamp = await freeStamp(dir);
  const { dbfilename, appendfilename, appenddirname } = namesOf(request);
  const building: ReplaceJournal = {
    formatVersion: 1,
    state: 'building',
    startedAt: new Date().toISOString(),
    restoreId: request.restoreId,
    incoming: `rewind-incoming-${stamp}`,
    aside: `rewind-aside-${stamp}`,
    withdrawn: `rewind-withdrawn-${stamp}`,
    old: [],
    placed: [],
    data: wanted,
  };
  await writeJournal(join(dir, journalFile), building);
  let built: Awaited<ReturnType<typeof buildIncoming>>;
  try {
    built = await buildIncoming(join(dir, building.incoming), request, io);
    await refuseRunning(request);
  } catch (error) {
    await recoverReplacement(dir);
    throw error;
  }
  const candidates = new Set([dbfilename, appenddirname, appendfilename, ...built.names]);
  const old: string[] = [];
  for (const name of candidates) if (await exists(join(dir, name))) old.push(name);
  const { names: placed, sha256, sizeBytes } = built;
  const swapping: ReplaceJournal = { ...building, state: 'swapping', old, placed, sha256, sizeBytes };
  await writeJournal(join(dir, journalFile), swapping);
  return reportOf(dir, await swap(dir, swapping));
}

/** What this very restore has placed here already; undefined where it has not. */
export async function replacedBy(dir: string, restoreId: string): Promise<ReplacedFiles | undefined> {
  const journal = await readJournal<ReplaceJournal>(join(dir, journalFile));
  return journal?.state === 'replaced' && journal.restoreId === restoreId ? reportOf(dir, journal) : undefined;
}

/** The folder may have gone with the data; what it was in has to be there, else its disk may be what is missing. */
async function makeAgain(dir: string): Promise<void> {
  const made = await mkdir(dir, { mode: 0o750 }).then(
    () => true,
    () => false,
  );
  if (made) await giveTo(dir, dirname(dir));
}

/**
 * Undoes {@link replaceServerFiles}: the files that were placed, with what a server may have written to them, move into
 * `rewind-withdrawn-<time>/`, and what was set aside comes back. Killed at any point, the same call ends it.
 *
 * @returns the folder in which the withdrawn files lie
 * @throws RESTORE_SERVER_RUNNING, RESTORE_PUT_BACK_IMPOSSIBLE
 */
export async function putBack(dir: string, isRunning: () => Promise<boolean>): Promise<{ withdrawn: string }> {
  await refuseRunning({ dir, isRunning });
  const before = await readJournal<ReplaceJournal>(join(dir, journalFile));
  const left = await recoverReplacement(dir);
  const wasUndoing = before?.state === 'withdrawing' || before?.state === 'restoring';
  if (left === undefined && before !== undefined && wasUndoing) return { withdrawn: join(dir, before.withdrawn) };
  if (left?.state !== 'replaced') {
    throw new RewindError(
      'RESTORE_PUT_BACK_IMPOSSIBLE',
      `No files were replaced in ${dir}, or that was undone already.`,
    );
  }
  for (const name of left.old) {
    if (await exists(join(dir, left.aside, name))) continue;
    throw new RewindError('RESTORE_PUT_BACK_IMPOSSIBLE', `${join(dir, left.aside, name)} is not there any more.`);
  }
  await writeJournal(join(dir, journalFile), { ...left, state: 'withdrawing' });
  await recoverReplacement(dir);
  return { withdrawn: join(dir, left.withdrawn) };
}

/**
 * Ends what a killed call left in a server's folder: to be called before the server is started. Files that were still
 * being written are removed, a swap that has begun is finished, and so is an undoing.
 *
 * @returns the replacement that is in force; undefined where there is none
 */
export async function recoverReplacement(dir: string): Promise<ReplaceJournal | undefined> {
  const path = join(dir, journalFile);
  const journal = await readJournal<ReplaceJournal>(path);
  if (journal === undefined || journal.state === 'replaced') return journal;
  if (journal.state === 'building') {
    await rm(join(dir, journal.incoming), { recursive: true, force: true });
    await removeJournal(path);
    return undefined;
  }
  if (journal.state === 'swapping') return swap(dir, journal);
  let state: ReplaceJournal = journal;
  if (state.state === 'withdrawing') {
    // Also what a server has made under these names since: it began from the files that are withdrawn.
    await moveAll([...new Set([...state.placed, ...state.old])], dir, join(dir, state.withdrawn), dir);
    state = { ...state, state: 'restoring' };
    await writeJournal(path, state);
  }
  await moveAll(state.old, join(dir, state.aside), dir, dir);
  await rmdir(join(dir, state.aside)).catch(() => undefined);
  await removeJournal(path);
  return undefined;
}

async function swap(dir: string, journal: ReplaceJournal): Promise<ReplaceJournal> {
  await moveAll(journal.old, dir, join(dir, journal.aside), dir);
  for (const name of journal.placed) {
    if (await exists(join(dir, journal.incoming, name)))
      await rename(join(dir, journal.incoming, name), join(dir, name));
  }
  await rm(join(dir, journal.incoming), { recursive: true, force: true });
  await syncFolder(dir);
  const replaced: ReplaceJournal = { ...journal, state: 'replaced' };
  await writeJournal(join(dir, journalFile), replaced);
  return replaced;
}

/** Moves what has not been moved yet. A name that is at its end already was moved before. */
async function moveAll(names: readonly string[], from: string, to: string, owner: string): Promise<void> {
  if (names.length === 0) return;
  if (await mkdir(to, { recursive: true, mode: 0o750 })) await giveTo(to, owner);
  for (const name of names) {
    if ((await exists(join(to, name))) || !(await exists(join(from, name)))) continue;
    await rename(join(from, name), join(to, name));
  }
  await syncFolder(to);
  if (await exists(from)) await syncFolder(from);
}

async function refuseRunning({ dir, isRunning }: Pick<ReplaceRequest, 'dir' | 'isRunning'>): Promise<void> {
  if (!(await isRunning())) return;
  throw new RewindError('RESTORE_SERVER_RUNNING', `The server of ${dir} runs: its files are not replaced.`);
}

async function allThere(dir: string, names: readonly string[]): Promise<boolean> {
  const found = await Promise.all(names.map((name) => exists(join(dir, name))));
  return found.every(Boolean);
}

/** `20261124T190455Z`, with a number where two replacements fall into one second. */
async function freeStamp(dir: string): Promise<string> {
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  for (let count = 1; ; count += 1) {
    const stamp = count === 1 ? time : `${time}-${count}`;
    const taken = ['incoming', 'aside', 'withdrawn'].map((kind) => exists(join(dir, `rewind-${kind}-${stamp}`)));
    if (!(await Promise.all(taken)).some(Boolean)) return stamp;
  }
}

function reportOf(dir: string, journal: ReplaceJournal): ReplacedFiles {
  return {
    dir,
    ...(journal.old.length > 0 ? { aside: journal.aside } : {}),
    movedAside: journal.old,
    placed: journal.placed,
    sha256: journal.sha256 ?? '',
    sizeBytes: journal.sizeBytes ?? 0,
  };
}
