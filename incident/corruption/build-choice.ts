import { createHash } from 'node:crypto';
import { constants, copyFile, mkdir, open, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type AofFile, type AofManifest, formatAofManifest } from '../../aof/manifest.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { FROM_ARCHIVE } from './archive-choice.ts';
import { type ArchivedRequest, layDownArchived, placeArchived } from './build-archived.ts';
import { type FoundFiles, findFiles, manifestPath, writesManyParts } from './found-files.ts';
import { writeUntilDamage, writeWithoutDamage } from './salvage-aof.ts';
import { salvageRdb, syncFolder, writeSalvage } from './salvage-rdb.ts';
import type { PersistenceSettings } from './settings.ts';
import { type AofSurvey, surveyAof } from './survey-aof.ts';
import { surveyRdb } from './survey-rdb.ts';

export interface BuildRequest {
  /** A `CorruptionChoice.id`. */
  readonly choice: string;
  /** The copies that `copyAside` made; only read. */
  readonly asideDir: string;
  /** Emptied first; what is made lies in it as it would lie in the server's folder. */
  readonly workDir: string;
  readonly settings: PersistenceSettings;
  /** Of a salvaged dump: leaves out the function libraries. */
  readonly withoutFunctions?: boolean;
  /** Puts the dump of a backup at a path, whole and compared with its SHA-256: for `backup:<id>`. */
  readonly fetchBackup?: (id: string, path: string, io: StepIO) => Promise<void>;
  /** For `archive`: what it has; and how a dump is made of it, for a server without an append-only file. */
  readonly archived?: ArchivedRequest & {
    readonly saveAsDump: (path: string, io: StepIO) => Promise<void>;
  };
}

export interface BuiltFile {
  /** Below `workDir`, as below the server's folder. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** Files ready for a start of the server with its own configuration. */
export interface BuiltChoice {
  readonly choice: string;
  readonly dir: string;
  readonly files: readonly BuiltFile[];
  /** Keys in them by database, where a dump alone says it: a server that loads them has these, but for expired ones. */
  readonly keysByDatabase?: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
}

/**
 * Performs a choice on the copies: its result is a folder of files that can take the place of the damaged ones. Nothing of
 * the original and of the copies is touched; done again it gives the same.
 *
 * @throws CORRUPTION_CHOICE_IMPOSSIBLE, CORRUPTION_NOTHING_READABLE, and what `fetchBackup` throws
 */
export async function buildChoice(request: BuildRequest, io: StepIO): Promise<BuiltChoice> {
  const { choice, workDir } = request;
  await rm(workDir, { recursive: true, force: true });
  await mkdir(workDir, { recursive: true, mode: 0o700 });
  const built = await perform(request, io);
  const files: BuiltFile[] = [];
  for (const path of built.paths) files.push(await sealed(workDir, path, io));
  return {
    choice,
    dir: workDir,
    files,
    ...(built.keysByDatabase === undefined ? {} : { keysByDatabase: built.keysByDatabase }),
    notes: built.notes,
  };
}

interface Made {
  readonly paths: readonly string[];
  readonly keysByDatabase?: Readonly<Record<string, number>>;
  readonly notes: readonly string[];
}

async function perform(request: BuildRequest, io: StepIO): Promise<Made> {
  const { choice, asideDir, settings } = request;
  if (choice.startsWith('backup:')) {
    const { fetchBackup } = request;
    if (fetchBackup === undefined) throw impossible(choice, 'there is nothing to fetch a backup with');
    return placeDump(request, (path) => fetchBackup(choice.slice('backup:'.length), path, io), io);
  }
  if (choice === FROM_ARCHIVE) return fromArchive(request, io);
  if (choice === 'dump-beside' || (choice === 'salvage' && !settings.appendonly)) {
    const source = join(asideDir, settings.dbfilename);
    if (choice === 'dump-beside') return placeDump(request, (path) => copyContent(source, path), io);
    let notes: readonly string[] = [];
    const made = await placeDump(
      request,
      async (path) => {
        ({ notes } = await salvageRdb(source, path, { ...settings, withoutFunctions: request.withoutFunctions }, io));
      },
      io,
    );
    return { ...made, notes };
  }
  const found = await findFiles(asideDir, settings);
  if (choice === 'aof-until-damage') return untilDamage(request, found, io);
  if (choice === 'base-and-later') return withoutDamage(request, found, false, io);
  if (choice === 'salvage') return withoutDamage(request, found, true, io);
  throw impossible(choice, 'it is not one of the choices');
}

/** The archive's end, and what follows on the disk, where the server looks for its data. */
async function fromArchive(request: BuildRequest, io: StepIO): Promise<Made> {
  const { choice, archived, settings, workDir } = request;
  if (archived === undefined) throw impossible(choice, 'nothing is known of an archive');
  if (!settings.appendonly) return placeDump(request, (path) => archived.saveAsDump(path, io), io);
  const made = await layDownArchived(archived, request, io);
  const { appendfilename, appenddirname } = settings;
  if (!(await hasManyParts(request))) {
    await placeArchived(made, workDir, { base: appendfilename, incr: appendfilename }, io);
    return { paths: [appendfilename], notes: [] };
  }
  const base: AofFile = { name: `${appendfilename}.1.base.${made.baseKind}`, seq: 1, type: 'base' };
  const incr: AofFile = { name: `${appendfilename}.1.incr.aof`, seq: 1, type: 'incr' };
  const paths = { base: join(appenddirname, base.name), incr: join(appenddirname, incr.name) };
  await placeArchived(made, workDir, paths, io);
  const incrs = made.incr === made.base ? [] : [incr];
  const manifest = await writeManifest(request, { base, incrs, history: [] });
  return { paths: [paths.base, ...incrs.map(() => paths.incr), manifest], notes: [] };
}

/** A dump where the server looks for its data: as its dump, or as the base of its append-only files. */
async function placeDump(request: BuildRequest, put: (path: string) => Promise<void>, io: StepIO): Promise<Made> {
  const { settings, workDir, choice } = request;
  const asBase = settings.appendonly;
  const manyParts = asBase && (await hasManyParts(request));
  const base: AofFile = { name: `${settings.appendfilename}.1.base.rdb`, seq: 1, type: 'base' };
  const path = !asBase
    ? settings.dbfilename
    : manyParts
      ? join(settings.appenddirname, base.name)
      : settings.appendfilename;
  await mkdir(dirname(join(workDir, path)), { recursive: true, mode: 0o700 });
  await put(join(workDir, path));
  const survey = await surveyRdb(join(workDir, path), settings, io);
  if (survey.damages.length > 0) throw impossible(choice, `its dump is damaged: ${survey.damages[0]!.what}`);
  const keysByDatabase: Record<string, number> = {};
  for (const { db, keys } of survey.runs) keysByDatabase[db] = (keysByDatabase[db] ?? 0) + keys;
  const paths = [path];
  if (manyParts) paths.push(await writeManifest(request, { base, incrs: [], history: [] }));
  return { paths, keysByDatabase, notes: [] };
}

async function hasManyParts({ asideDir, settings }: BuildRequest): Promise<boolean> {
  return writesManyParts(settings) ?? (await findFiles(asideDir, settings)).form === 'aof-multi';
}

/** Base and incrs up to the damage, the damaged one cut, later ones left out. */
async function untilDamage(request: BuildRequest, found: FoundFiles, io: StepIO): Promise<Made> {
  return eachPart(
    request,
    found,
    async (source, target, survey, atDamage) => {
      if (atDamage === 'behind') return false;
      if (survey === undefined) return false;
      if (survey.preamble !== undefined && survey.cut === 0)
        throw impossible(request.choice, 'the dump before the commands is damaged');
      if (atDamage === 'before') await copyContent(source, target);
      else await writeUntilDamage(source, survey, target, io);
      return atDamage === 'before' || survey.cut > 0;
    },
    io,
  );
}

/** All parts, what is damaged left out of each; a damaged dump is salvaged where that was chosen. */
async function withoutDamage(request: BuildRequest, found: FoundFiles, salvage: boolean, io: StepIO): Promise<Made> {
  const notes: string[] = [];
  const made = await eachPart(
    request,
    found,
    async (source, target, survey) => {
      if (survey === undefined) return false;
      if (survey.damages.length === 0) {
        await copyContent(source, target);
        return true;
      }
      const { preamble } = survey;
      if (preamble === undefined || (preamble.damages.length === 0 && preamble.end !== undefined)) {
        await writeWithoutDamage(source, survey, target, io);
        return survey.stretches.length > 0 || preamble !== undefined;
      }
      if (!salvage) throw impossible(request.choice, 'the dump before the commands is damaged');
      notes.push(...(await writeSalvage(source, preamble, target, io, request)).notes);
      await writeWithoutDamage(source, survey, target, io, target);
      return true;
    },
    io,
  );
  return { ...made, notes };
}

type AtDamage = 'before' | 'at' | 'behind';

/** @param make writes a part and says whether there is anything in it; the survey of a missing file is undefined */
async function eachPart(
  request: BuildRequest,
  found: FoundFiles,
  make: (source: string, target: string, survey: AofSurvey | undefined, at: AtDamage) => Promise<boolean>,
  io: StepIO,
): Promise<Made> {
  const { asideDir, workDir, settings, choice } = request;
  if (found.manifestError !== undefined || found.startsEmpty !== undefined || found.form === 'rdb') {
    throw impossible(choice, found.manifestError?.message ?? found.startsEmpty ?? 'the server has no append-only file');
  }
  const data = found.files.filter(({ role }) => role !== 'manifest');
  const kept: string[] = [];
  let at: AtDamage = 'before';
  for (const { path, sizeBytes } of data) {
    const survey = sizeBytes === undefined ? undefined : await surveyAof(join(asideDir, path), settings, io);
    if (at === 'before' && (survey === undefined || survey.damages.length > 0)) at = 'at';
    else if (at === 'at') at = 'behind';
    await mkdir(dirname(join(workDir, path)), { recursive: true, mode: 0o700 });
    if (await make(join(asideDir, path), join(workDir, path), survey, at)) kept.push(path);
    else await rm(join(workDir, path), { force: true });
  }
  if (kept.length === 0)
    throw new RewindError('CORRUPTION_NOTHING_READABLE', 'Nothing of the append-only files can be kept.');
  if (found.manifest === undefined) return { paths: kept, notes: [] };
  const isKept = ({ name }: AofFile) => kept.includes(join(settings.appenddirname, name));
  const { base, incrs } = found.manifest;
  const manifest: AofManifest = {
    ...(base !== undefined && isKept(base) ? { base } : {}),
    incrs: incrs.filter(isKept),
    history: [],
  };
  return { paths: [...kept, await writeManifest(request, manifest)], notes: [] };
}

async function writeManifest({ workDir, settings }: BuildRequest, manifest: AofManifest): Promise<string> {
  const path = manifestPath(settings);
  const file = await open(join(workDir, path), 'w', 0o600);
  try {
    await file.writeFile(formatAofManifest(manifest));
  } finally {
    await file.close();
  }
  return path;
}

/** A copy of the content, shared with the original where the file system can: never the same file. */
async function copyContent(from: string, to: string): Promise<void> {
  await copyFile(from, to, constants.COPYFILE_FICLONE);
}

/** On the disk, with its digest. */
async function sealed(workDir: string, path: string, io: StepIO): Promise<BuiltFile> {
  const file = await open(join(workDir, path), 'r+');
  try {
    await file.chmod(0o600);
    await file.sync();
    const hash = createHash('sha256');
    const block = Buffer.allocUnsafe(1024 * 1024);
    let at = 0;
    for (;;) {
      io.signal.throwIfAborted();
      const { bytesRead } = await file.read(block, 0, block.length, at);
      if (bytesRead === 0) break;
      hash.update(block.subarray(0, bytesRead));
      at += bytesRead;
    }
    await syncFolder(dirname(join(workDir, path)));
    return { path, sizeBytes: at, sha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}

function impossible(choice: string, why: string): RewindError {
  return new RewindError('CORRUPTION_CHOICE_IMPOSSIBLE', `The choice ${choice} cannot be made: ${why}.`);
}
