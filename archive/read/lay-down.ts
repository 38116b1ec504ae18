import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { baseKey } from '../layout.ts';
import { aofForm, startArguments } from './aof-form.ts';
import { type Moment, momentBytes } from './moment.ts';
import type { ArchivePlace } from './records.ts';
import { type ReplayPlace, ReplayWriter } from './replay-writer.ts';

/** What lies in a folder, ready for a plain redis-server of the moment's version or newer, of the same fork. */
export interface LaidDown {
  readonly dir: string;
  /** Arguments for redis-server, without the program. */
  readonly startWith: readonly string[];
  readonly baseBytes: number;
  /** Of what is replayed on top of the base. */
  readonly replayBytes: number;
}

const partName = '.rewind-moment.part';
/** What was laid down there, once it is whole; hidden from servers. */
const doneName = '.rewind-moment.json';
/** How far an earlier call came, in the unfinished folder; hidden from servers. */
const journalName = 'progress.json';
/** Bytes between two times that what was written is put on the disk, and the progress after it. */
const journalEveryBytes = 64 * 1024 * 1024;

/** Names that are ours in a folder that moments are laid down in. */
export const momentNames: readonly string[] = [partName, doneName, `${doneName}.new`];

interface Done {
  /** Digest of the moment. */
  readonly moment: string;
  readonly baseBytes: number;
  readonly replayBytes: number;
}

interface Progress {
  readonly moment: string;
  readonly replay?: ReplayPlace;
}

/**
 * Lays the state at a moment down as a base, one incr and a manifest, cut where the moment says, so that a server starts from
 * it natively. All is streamed and proven on its way, and becomes visible whole, by one rename; killed anywhere, the same call
 * goes on where it stopped, and done twice it is the same.
 *
 * @param dir of this restore alone; made where it is not there
 * @throws DISK_FULL, ARCHIVE_BASE_DIFFERS, ARCHIVE_OMISSION_INVALID and those of reading the archive
 */
export async function layDown(place: ArchivePlace, moment: Moment, dir: string, io: StepIO): Promise<LaidDown> {
  const form = aofForm(moment);
  const whole = join(dir, form.folder === '' ? form.base : form.folder);
  const digest = digestOf(moment);
  const doneFile = join(dir, doneName);
  const done = await readJson<Done>(doneFile);
  if (done?.moment === digest && (await isUntouched(dir, moment, done))) return laidDownOf(dir, done);
  await mkdir(dir, { recursive: true, mode: 0o750 });
  const part = join(dir, partName);
  const earlier = await readJson<Progress>(join(part, journalName));
  if (earlier?.moment !== digest) await rm(part, { recursive: true, force: true });
  await mkdir(part, { recursive: true, mode: 0o750 });
  await needRoom(dir, momentBytes(moment), part, form);
  const save = (replay?: ReplayPlace) =>
    writeJson(join(part, journalName), { moment: digest, replay } satisfies Progress);
  if (earlier?.moment !== digest) await save();

  const basePath = join(part, form.base);
  const onePiece = form.incr === form.base;
  // In one piece the commands follow: what is behind the base is theirs.
  await fetchBase(place, moment, basePath, onePiece && earlier?.replay !== undefined, io);
  const replayBytes = await writeReplay(place, moment, join(part, form.incr), onePiece, earlier?.replay, save, io);
  if (form.manifest) await writeDurably(join(part, form.manifest.name), form.manifest.text);
  await rm(join(part, journalName), { force: true });
  await rm(whole, { recursive: true, force: true });
  if (form.folder === '') {
    await rename(join(part, form.base), whole);
    await rm(part, { recursive: true });
  } else {
    await syncFolder(part);
    await rename(part, whole);
  }
  await syncFolder(dir);
  const laid: Done = { moment: digest, baseBytes: moment.base.sizeBytes, replayBytes };
  await writeJson(doneFile, laid);
  return laidDownOf(dir, laid);
}

const laidDownOf = (
  dir: string,
  { baseBytes, replayBytes }: Pick<LaidDown, 'baseBytes' | 'replayBytes'>,
): LaidDown => ({
  dir,
  startWith: startArguments(dir),
  baseBytes,
  replayBytes,
});

/** True where what lies in the folder is this moment, as it was laid down there. */
export async function isLaidDown(moment: Moment, dir: string): Promise<boolean> {
  const done = await readJson<Done>(join(dir, doneName));
  return done?.moment === digestOf(moment) && (await isUntouched(dir, moment, done));
}

const digestOf = (moment: Moment): string => createHash('sha256').update(JSON.stringify(moment)).digest('hex');

/** The base, whole and proven; what an earlier call brought is read once more, not fetched. */
async function fetchBase(
  { repository, instance }: ArchivePlace,
  { base }: Moment,
  path: string,
  commandsFollow: boolean,
  io: StepIO,
): Promise<void> {
  const hash = createHash('sha256');
  const there = Math.min(base.sizeBytes, (await stat(path).catch(() => undefined))?.size ?? 0);
  if (there > 0) {
    for await (const piece of createReadStream(path, { end: there - 1 }) as AsyncIterable<Buffer>) {
      io.signal.throwIfAborted();
      hash.update(piece);
    }
  }
  if (commandsFollow && there === base.sizeBytes && hash.copy().digest('hex') === base.sha256) return;
  const key = baseKey(instance, base.timeline, base.position);
  const file = await open(path, there > 0 ? 'r+' : 'w', 0o640);
  try {
    let done = there;
    await file.truncate(there);
    if (there < base.sizeBytes) {
      const stream = await repository.read(key, { start: there, signal: io.signal });
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        io.signal.throwIfAborted();
        if (done + chunk.length > base.sizeBytes) throw differs(key);
        hash.update(chunk);
        await file.write(chunk, 0, chunk.length, done);
        done += chunk.length;
        io.onProgress({ phase: 'download the base', done, total: base.sizeBytes, unit: 'bytes' });
      }
    }
    if (done !== base.sizeBytes || hash.digest('hex') !== base.sha256) {
      // Begun again from nothing next time: what is on the disk may be what is wrong.
      await file.truncate(0);
      throw differs(key);
    }
    await file.sync();
  } catch (error) {
    throw asDiskFull(error, path);
  } finally {
    await file.close();
  }
}

async function writeReplay(
  place: ArchivePlace,
  moment: Moment,
  path: string,
  onePiece: boolean,
  earlier: ReplayPlace | undefined,
  save: (at: ReplayPlace) => Promise<void>,
  io: StepIO,
): Promise<number> {
  const begin = onePiece ? moment.base.sizeBytes : 0;
  const file = await open(path, onePiece || earlier ? 'r+' : 'w', 0o640);
  try {
    await file.truncate(begin + (earlier?.written ?? 0));
    const writer = new ReplayWriter(place, moment, earlier, begin);
    let synced = earlier?.written ?? 0;
    for await (const at of writer.write(file, io)) {
      if (at.written - synced < journalEveryBytes) continue;
      await file.datasync();
      await save(at);
      synced = at.written;
    }
    await file.sync();
    return writer.written;
  } catch (error) {
    throw asDiskFull(error, path);
  } finally {
    await file.close();
  }
}

async function needRoom(dir: string, bytes: number, part: string, form: { base: string; incr: string }): Promise<void> {
  const sizes = await Promise.all(
    [...new Set([form.base, form.incr])].map(
      async (name) => (await stat(join(part, name)).catch(() => undefined))?.size ?? 0,
    ),
  );
  const wanted = bytes - sizes.reduce((sum, size) => sum + size, 0);
  const disk = await statfs(dir);
  const free = disk.bavail * disk.bsize;
  if (free < wanted) throw new RewindError('DISK_FULL', `${dir} has ${free} bytes free; the moment needs ${wanted}.`);
}

function asDiskFull(error: unknown, path: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  return new RewindError('DISK_FULL', `No room is left for ${path}.`, { cause: error });
}

function differs(key: string): RewindError {
  return new RewindError('ARCHIVE_BASE_DIFFERS', `The store gives other bytes for ${key} than were stored.`);
}

async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch {
    // Missing or torn: begun anew.
    return undefined;
  }
}

async function writeJson(path: string, value: object): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(value), { mode: 0o640 });
  await rename(`${path}.new`, path);
}

async function writeDurably(path: string, text: string): Promise<void> {
  const file: FileHandle = await open(path, 'w', 0o640);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** False where a server that was started on it has written to it, or something of it is gone. */
async function isUntouched(dir: string, moment: Moment, { baseBytes, replayBytes }: Done): Promise<boolean> {
  const form = aofForm(moment);
  const size = async (name: string) => (await stat(join(dir, form.folder, name)).catch(() => undefined))?.size;
  if (form.incr === form.base) return (await size(form.base)) === baseBytes + replayBytes;
  return (await size(form.base)) === baseBytes && (await size(form.incr)) === replayBytes;
}
