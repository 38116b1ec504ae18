import { type FileHandle, open, readFile, rename, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ReplicationPlace } from '../../redis/psync-handshake.ts';
import { MarkLog } from '../follow/mark-log.ts';
import type { PrimarySigns } from './primary-watch.ts';

/** A file is given up for the next one at this length: what is shipped is removed by files. */
const fileBytes = 8 * 1024 * 1024;

/** A state of the server that begins a run, on the disk until it is in the repository. */
export interface SpooledDump {
  readonly path: string;
  readonly sizeBytes: number;
  /** The server's clock, Unix ms: before the server began to save it. */
  readonly timeMs: number;
  open(): Promise<FileHandle>;
}

/** From its offset on the stream is that of another history, or of a server whose clock was set. */
export type Seam = { readonly offset: number } & (
  | {
      readonly kind: 'history';
      readonly replId: string;
      /** When it began, by the server's clock. */
      readonly timeMs: number;
      readonly signs: PrimarySigns;
    }
  | { readonly kind: 'clock'; readonly fromMs: number; readonly toMs: number }
  /** A segment has to begin here, at the position that is put down then: a base is to stand before it. */
  | { readonly kind: 'base'; position?: number }
);

export interface ReceivedChunk {
  readonly bytes: Uint8Array;
  /** Absent: nothing that anybody would restore (a PING). */
  readonly seenMs: number | undefined;
}

interface SpoolFile {
  readonly path: string;
  readonly handle: FileHandle;
  readonly from: number;
  end: number;
}

/**
 * Bytes of a replication stream without a break, on the disk. Offsets are the server's own: a byte's place is the number of
 * bytes that stand before it in the replication history.
 */
export class StreamRun {
  readonly from: ReplicationPlace;
  readonly dump: SpooledDump | undefined;
  /** Of the server that it came from, at its beginning. */
  readonly signs: PrimarySigns;
  readonly seams: Seam[] = [];
  readonly marks = new MarkLog();
  readonly #folder: string;
  readonly #number: number;
  readonly #files: SpoolFile[] = [];
  #replId: string;
  #end: number;
  /** All before it is in the repository. */
  #shippedTo: number;

  constructor(
    folder: string,
    number: number,
    { from, dump, signs }: { from: ReplicationPlace; dump?: SpooledDump; signs: PrimarySigns },
  ) {
    this.#folder = folder;
    this.#number = number;
    this.from = from;
    this.dump = dump;
    this.signs = signs;
    this.#replId = from.replId;
    this.#end = from.offset;
    this.#shippedTo = from.offset;
  }

  /** Behind its last byte. */
  get end(): ReplicationPlace {
    return { replId: this.#replId, offset: this.#end };
  }

  /** Not in the repository yet, without the dump. */
  get unshippedBytes(): number {
    return this.#end - this.#shippedTo;
  }

  /** Writes chunks one behind the other. @throws where the disk does not take all of them: then none has come */
  async append(chunks: readonly ReceivedChunk[]): Promise<void> {
    let file = this.#files.at(-1);
    if (!file || file.end - file.from >= fileBytes) file = await this.#begin();
    const length = chunks.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const pieces = chunks.map(({ bytes }) => bytes);
    const { bytesWritten } = await file.handle.writev(pieces, file.end - file.from);
    if (bytesWritten < length) {
      await file.handle.truncate(file.end - file.from);
      throw Object.assign(new Error('the disk took a part only of what was received'), { code: 'ENOSPC' });
    }
    file.end += length;
    for (const { bytes, seenMs } of chunks) {
      this.#end += bytes.length;
      if (seenMs !== undefined) this.marks.look(seenMs, this.#end);
    }
  }

  /** What follows is of another history. */
  async crossTo(replId: string, timeMs: number, signs: PrimarySigns): Promise<void> {
    await keepSigns(this.#folder, this.#number, replId, signs);
    this.seams.push({ kind: 'history', offset: this.#end, replId, timeMs, signs });
    this.#replId = replId;
    await this.#begin();
  }

  clockStepped(fromMs: number, toMs: number): void {
    this.seams.push({ kind: 'clock', offset: this.#end, fromMs, toMs });
  }

  /** A file that an earlier process left goes on where this one ends. @returns false where nobody knows whose it is */
  async takeUp(path: string, from: ReplicationPlace): Promise<boolean> {
    const { size, mtimeMs } = await stat(path);
    if (from.replId !== this.#replId) {
      const timeMs = Math.floor(mtimeMs);
      const signs = await keptSigns(this.#folder, this.#number, from.replId);
      if (!signs) return false;
      this.seams.push({ kind: 'history', offset: this.#end, replId: from.replId, timeMs, signs });
      this.#replId = from.replId;
    }
    this.#files.push({ path, handle: await open(path, 'r+'), from: from.offset, end: from.offset + size });
    this.#end += size;
    if (size > 0) this.marks.look(Math.floor(mtimeMs), this.#end);
    return true;
  }

  /** Reads as a file does whose offsets are those of the replication history. */
  readonly read = async (
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ bytesRead: number }> => {
    const file = this.#files.find(({ from, end }) => from <= position && position < end);
    if (!file) return { bytesRead: 0 };
    const wanted = Math.min(length, file.end - position);
    const { bytesRead } = await file.handle.read(buffer, offset, wanted, position - file.from);
    return { bytesRead };
  };

  /** The same, for those who read files. */
  get handle(): FileHandle {
    return { read: this.read } as unknown as FileHandle;
  }

  /** Up to the offset all is in the repository: files that end there go, but never the last. */
  async release(upTo: number): Promise<void> {
    this.#shippedTo = upTo;
    while (this.#files.length > 1 && this.#files[0]!.end <= upTo) await remove(this.#files.shift()!);
  }

  async removeDump(): Promise<void> {
    if (this.dump) await unlink(this.dump.path).catch(() => undefined);
  }

  async remove(): Promise<void> {
    await this.removeDump();
    for (const file of this.#files.splice(0)) await remove(file);
    const histories = this.seams.filter((seam) => seam.kind === 'history');
    for (const { replId } of [this.from, ...histories]) {
      await unlink(join(this.#folder, signsName(this.#number, replId))).catch(() => undefined);
    }
  }

  async close(): Promise<void> {
    for (const { handle } of this.#files.splice(0)) await handle.close().catch(() => undefined);
  }

  async #begin(): Promise<SpoolFile> {
    const path = join(this.#folder, fileName(this.#number, this.end, 'stream'));
    const file = { path, handle: await open(path, 'w+', 0o600), from: this.#end, end: this.#end };
    this.#files.push(file);
    return file;
  }
}

async function remove({ handle, path }: SpoolFile): Promise<void> {
  await handle.close().catch(() => undefined);
  await unlink(path).catch(() => undefined);
}

/** What a file holds is in its name: a run's number, and the place of its first byte. */
const fileName = (run: number, { replId, offset }: ReplicationPlace, kind: 'stream' | 'rdb'): string =>
  `${String(run).padStart(6, '0')}-${replId}-${String(offset).padStart(16, '0')}.${kind}`;

export interface SpooledName {
  readonly run: number;
  readonly from: ReplicationPlace;
  readonly kind: 'stream' | 'rdb';
}

export function parseFileName(name: string): SpooledName | undefined {
  const [, run, replId, offset, kind] = /^(\d{6})-([0-9a-zA-Z]{40})-(\d{16})\.(stream|rdb)$/.exec(name) ?? [];
  if (replId === undefined) return undefined;
  return { run: Number(run), from: { replId, offset: Number(offset) }, kind: kind as SpooledName['kind'] };
}

const signsName = (run: number, replId: string): string => `${String(run).padStart(6, '0')}-${replId}.signs`;

/**
 * What the server said of itself, before anything of its history is there: a later process could ask only the server that
 * answers then, which may be another one.
 */
export async function keepSigns(folder: string, run: number, replId: string, signs: PrimarySigns): Promise<void> {
  await writeFile(join(folder, signsName(run, replId)), JSON.stringify(signs), { mode: 0o600 });
}

/** Undefined where they are missing or torn. */
export async function keptSigns(folder: string, run: number, replId: string): Promise<PrimarySigns | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, signsName(run, replId)), 'utf8')) as PrimarySigns;
  } catch {
    return undefined;
  }
}

/** Writes a dump as it comes; it is there once it is whole. */
export async function spoolDump(
  folder: string,
  run: number,
  from: ReplicationPlace,
  chunks: AsyncIterable<Uint8Array>,
): Promise<Omit<SpooledDump, 'timeMs'>> {
  const path = join(folder, fileName(run, from, 'rdb'));
  const part = `${path}.part`;
  const file = await open(part, 'w', 0o600);
  let sizeBytes = 0;
  try {
    for await (const chunk of chunks) {
      await file.write(chunk, 0, chunk.length, sizeBytes);
      sizeBytes += chunk.length;
    }
    await file.close();
    await rename(part, path);
    return { path, sizeBytes, open: () => open(path, 'r') };
  } catch (error) {
    await file.close().catch(() => undefined);
    await unlink(part).catch(() => undefined);
    throw error;
  }
}
