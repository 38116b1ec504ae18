import { mkdir, open, readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ReplicationPlace } from '../../redis/psync-handshake.ts';
import type { PrimarySigns } from './primary-watch.ts';
import {
  keepSigns,
  keptSigns,
  parseFileName,
  type SpooledDump,
  type SpooledName,
  StreamRun,
  spoolDump,
} from './stream-run.ts';

/** Of the machine's start: what was written before it may be torn. */
const bootIdFile = '/proc/sys/kernel/random/boot_id';

/** The oldest, which is being stored, and the newest; what stood between them is a gap then. */
const mostRuns = 3;

/** A disk that takes so much is not full. */
const roomBytes = 256 * 1024;

/** What was received and is not in the repository yet: runs, the oldest first. Only the last one grows. */
export class StreamSpool {
  readonly folder: string;
  /** `host:port` of the server whose bytes were shipped last from here. */
  server: string | undefined;
  #runs: StreamRun[] = [];
  #number = 0;
  #grown = Promise.withResolvers<void>();

  private constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * With what an earlier process left there, where that goes on from what is in the repository; else empty.
   *
   * @param tip how far the repository goes
   */
  static async open(folder: string, tip: ReplicationPlace | undefined): Promise<StreamSpool> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const spool = new StreamSpool(folder);
    const boot = await readFile(bootIdFile, 'utf8').catch(() => '');
    const before = await readFile(join(folder, 'boot'), 'utf8').catch(() => undefined);
    if (before === boot) await spool.#load();
    if (!tip || !spool.#runs[0] || !reaches(spool.#runs[0], tip)) await spool.clear();
    await writeFile(join(folder, 'boot'), boot, { mode: 0o600 });
    spool.server = await readFile(join(folder, 'server'), 'utf8').catch(() => undefined);
    return spool;
  }

  get runs(): readonly StreamRun[] {
    return this.#runs;
  }

  /** Stream bytes that are not in the repository yet. */
  get unshippedBytes(): number {
    return this.#runs.reduce((sum, run) => sum + run.unshippedBytes, 0);
  }

  /** Where a link has to go on so that nothing is missing. */
  get end(): ReplicationPlace | undefined {
    return this.#runs.at(-1)?.end;
  }

  /** Settles when something comes. */
  get grown(): Promise<void> {
    return this.#grown.promise;
  }

  tellGrown(): void {
    this.#grown.resolve();
    this.#grown = Promise.withResolvers();
  }

  async shipsFrom(server: string): Promise<void> {
    if (server === this.server) return;
    this.server = server;
    await writeFile(join(this.folder, 'server'), server, { mode: 0o600 });
  }

  /** A run that goes on from a place that is in the repository. */
  async goOn(from: ReplicationPlace, signs: PrimarySigns): Promise<StreamRun> {
    await keepSigns(this.folder, this.#number + 1, from.replId, signs);
    return this.#begin({ from, signs });
  }

  /** A run that begins with a dump, once that is whole. */
  async beginWithDump(
    from: ReplicationPlace,
    chunks: AsyncIterable<Uint8Array>,
    timeMs: number,
    signs: PrimarySigns,
  ): Promise<StreamRun> {
    await keepSigns(this.folder, this.#number + 1, from.replId, signs);
    const dump = { ...(await spoolDump(this.folder, this.#number + 1, from, chunks)), timeMs };
    // Where one full synchronization comes after the other and the store takes none, the disk is not filled with dumps.
    while (this.#runs.length >= mostRuns) await this.leave(this.#runs[1]!);
    return this.#begin({ from, dump, signs });
  }

  #begin(begin: { from: ReplicationPlace; dump?: SpooledDump; signs: PrimarySigns }): StreamRun {
    const run = new StreamRun(this.folder, ++this.#number, begin);
    this.#runs.push(run);
    this.tellGrown();
    return run;
  }

  /** The oldest run is in the repository. */
  async leave(run: StreamRun): Promise<void> {
    this.#runs = this.#runs.filter((each) => each !== run);
    await run.remove();
  }

  /** @throws where the disk takes nothing */
  async proveRoom(): Promise<void> {
    const path = join(this.folder, 'room.part');
    try {
      await writeFile(path, Buffer.alloc(roomBytes), { mode: 0o600 });
    } finally {
      await unlink(path).catch(() => undefined);
    }
  }

  async clear(): Promise<void> {
    for (const run of this.#runs.splice(0)) await run.close();
    for (const name of await readdir(this.folder)) {
      if (name.includes('.')) await unlink(join(this.folder, name)).catch(() => undefined);
    }
  }

  /** Files stay. */
  async close(): Promise<void> {
    for (const run of this.#runs) await run.close();
  }

  async #load(): Promise<void> {
    const files = (await readdir(this.folder))
      .map((name) => ({ name, ...parseFileName(name) }))
      .filter(isSpooled)
      .sort((a, b) => a.run - b.run || a.from.offset - b.from.offset);
    for (const file of files) {
      const { name, run: number, from, kind } = file;
      const path = join(this.folder, name);
      let run = this.#number === number ? this.#runs.at(-1) : undefined;
      if (!run) {
        const signs = await keptSigns(this.folder, number, from.replId);
        if (!signs) return this.clear();
        this.#number = number;
        const rdb = files.find((each) => each.run === number && each.kind === 'rdb');
        const dump = rdb && (await dumpAt(join(this.folder, rdb.name)));
        run = new StreamRun(this.folder, number, { from, signs, ...(dump ? { dump } : {}) });
        this.#runs.push(run);
      }
      // A hole: what is behind it belongs to nothing.
      if (kind === 'stream' && run.end.offset !== from.offset) return this.clear();
      if (kind === 'stream' && !(await run.takeUp(path, from))) return this.clear();
    }
  }
}

async function dumpAt(path: string): Promise<SpooledDump> {
  const { size, mtimeMs } = await stat(path);
  return { path, sizeBytes: size, timeMs: Math.floor(mtimeMs), open: () => open(path, 'r') };
}

const isSpooled = (file: { name: string } & Partial<SpooledName>): file is { name: string } & SpooledName =>
  file.kind !== undefined;

/** True where a place lies in a run. */
export function reaches({ from, end, seams }: StreamRun, { replId, offset }: ReplicationPlace): boolean {
  const histories = [from, ...seams.filter((seam) => seam.kind === 'history')];
  const of = histories.findLastIndex((history) => history.replId === replId);
  return of >= 0 && histories[of]!.offset <= offset && offset <= (histories[of + 1] ?? end).offset;
}
