import type { FileHandle } from 'node:fs/promises';
import { RewindError } from '../../errors/rewind-error.ts';
import { type AofPlace, appendDir } from './aof-place.ts';
import type { FileSwitches } from './file-switches.ts';
import type { Looks } from './looks.ts';
import type { FilesNow } from './manifest-watch.ts';
import type { ServerSigns, ServerWatch } from './server-watch.ts';

/** The server's own figure for base and incrs together, and what the files had right before and right after it was asked. */
export interface SizeLook {
  readonly server: number;
  readonly before: number;
  readonly after: number;
  /** The server's figure for the base is that of the file: it has rewritten nothing since it started. */
  readonly baseFits: boolean;
}

/** What is compared at most, newest last. */
const mostLooks = 16;

/**
 * Whether the files are those of the server. The server appends and counts in one step of one thread, so that its figure
 * lies between the two sizes; a file system that tells sizes late shows its earlier figures. Where a start has cut off a torn
 * end, its figure stays too large by that until the next rewrite: then the difference has to be the same while it writes.
 *
 * @returns `unlike`: they differ, and what that means shows when it writes
 */
export function judgeSizes(looks: readonly SizeLook[]): 'same' | 'torn' | 'unlike' | 'others' {
  const [first, last] = [looks[0], looks.at(-1)];
  if (!first || !last) return 'unlike';
  const grew = last.server > first.server;
  const neverMore = looks.every(({ before, server }) => before <= server);
  // What it was before it wrote says nothing once it has written.
  const reached = ({ server }: SizeLook) => server <= last.after && (!grew || server > first.server);
  if (neverMore && looks.some(reached)) return 'same';
  const low = Math.max(...looks.map(({ server, after }) => server - after));
  const high = Math.min(...looks.map(({ server, before }) => server - before));
  if (grew) return low <= high ? 'same' : 'others';
  return neverMore && last.baseFits ? 'torn' : 'unlike';
}

/** Nothing proves that the files in a server's `dir` are its own: the same path may be there on another machine. */
export class SameFiles {
  readonly #place: AofPlace;
  readonly #server: ServerWatch;
  readonly #looks: Looks;
  readonly #switches: FileSwitches;
  readonly #doubtMs: number;
  #sizes: SizeLook[] = [];
  /** Of what the sizes are. */
  #of: { readonly runId: string; readonly files: FilesNow } | undefined;
  #doubted = false;
  #contradictedAt: number | undefined;
  #proven = false;
  /** Proven while the server wrote, and not only as both were empty. */
  #provenByWriting = false;

  /** @param doubtMs so long files and a server that writes must contradict each other before that is said */
  constructor(place: AofPlace, server: ServerWatch, looks: Looks, switches: FileSwitches, doubtMs: number) {
    this.#place = place;
    this.#server = server;
    this.#looks = looks;
    this.#switches = switches;
    this.#doubtMs = doubtMs;
  }

  /** Once it was seen that they are the server's. */
  get proven(): boolean {
    return this.#proven;
  }

  /** They are not as long now as the server says, for no reason that is known. */
  get doubted(): boolean {
    return this.#doubted;
  }

  /** Asks the server, and compares what it says with the files. @throws ARCHIVE_NOT_POSSIBLE, ARCHIVE_FILES_LEFT, REDIS_REFUSED_LOGIN */
  async ask(): Promise<ServerSigns | undefined> {
    const { files } = this.#looks;
    const before = files && (await sizeOf(files));
    const signs = await this.#server.ask();
    const after = files && (await sizeOf(files));
    await this.#looks.look();
    if (signs && files && this.#looks.files) this.#switches.saw(files, this.#looks.files, signs);
    const comparable = signs?.aofOn && signs.aofBytes !== undefined && files?.base && files === this.#looks.files;
    if (!comparable || !before || !after) this.#forget();
    else {
      const { runId, aofBytes = 0, aofBaseBytes } = signs;
      // The empty base with which a new server begins is not counted.
      const uncounted = aofBaseBytes === 0 ? after.base : 0;
      if (this.#of?.runId !== runId || this.#of.files !== files) this.#forget();
      this.#of = { runId, files };
      const [from, to] = [before.all - uncounted, after.all - uncounted];
      const look = { server: aofBytes, before: from, after: to, baseFits: aofBaseBytes === after.base };
      this.#sizes = [...this.#sizes.slice(1 - mostLooks), look];
      this.#judge(signs);
    }
    return signs;
  }

  #judge({ rewriting }: ServerSigns): void {
    const judged = judgeSizes(this.#sizes);
    if (judged === 'same') {
      this.#proven = true;
      this.#provenByWriting ||= this.#sizes.at(-1)!.server > this.#sizes[0]!.server;
    }
    // While a rewrite is under way its files come and go.
    this.#doubted = (judged === 'unlike' || judged === 'others') && !rewriting;
    if (judged !== 'others' || rewriting) {
      this.#contradictedAt = undefined;
      return;
    }
    this.#contradictedAt ??= performance.now();
    if (performance.now() - this.#contradictedAt < this.#doubtMs) return;
    const { server, after } = this.#sizes.at(-1)!;
    const folder = appendDir(this.#place);
    const figures = `it has appended up to byte ${server}, and they have ${after}`;
    if (this.#provenByWriting) {
      throw new RewindError(
        'ARCHIVE_FILES_LEFT',
        `The server does not append to the files in ${folder} any more: ${figures}.`,
      );
    }
    throw new RewindError(
      'ARCHIVE_NOT_POSSIBLE',
      `The files in ${folder} are not those of the server that answers: ${figures}. ` +
        'The agent has to run on the machine of the server, and see its files under the same path.',
    );
  }

  #forget(): void {
    this.#sizes = [];
    this.#of = undefined;
    this.#doubted = false;
    this.#contradictedAt = undefined;
  }
}

/** @returns undefined where one was let go of meanwhile */
async function sizeOf({ base, incrs }: FilesNow): Promise<{ all: number; base: number } | undefined> {
  try {
    const size = async ({ handle }: { handle: FileHandle }) => (await handle.stat()).size;
    const [ofBase, ...others] = await Promise.all([...(base ? [base] : []), ...incrs].map(size));
    return { all: others.reduce((sum, each) => sum + each, ofBase ?? 0), base: base ? (ofBase ?? 0) : 0 };
  } catch {
    return undefined;
  }
}
