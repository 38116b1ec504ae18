import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAofManifest } from '../../aof/manifest.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { type AofPlace, appendDir, manifestName } from './aof-place.ts';
import type { HeldFile, HeldFiles } from './held-files.ts';

/** The files that a start of the server would load, all of them held. */
export interface FilesNow {
  readonly base?: HeldFile;
  /** In their order; Redis appends to the last. */
  readonly incrs: readonly HeldFile[];
}

/** Between the reading of a manifest and the links to its files a rewrite may end: then it is read again. */
const attempts = 5;

/** Looks at the manifest and holds every file that it names. */
export class ManifestWatch {
  readonly #place: AofPlace;
  readonly #held: HeldFiles;
  /** `<id>><id>`: seen one after the other in one manifest, so that nothing was written between them. */
  readonly #pairs = new Set<string>();
  #seen = '';
  #now: FilesNow | undefined;
  #problem: string | undefined;

  constructor(place: AofPlace, held: HeldFiles) {
    this.#place = place;
    this.#held = held;
  }

  /** Undefined where there is no whole set of files. */
  get now(): FilesNow | undefined {
    return this.#now;
  }

  /** Why there is none. */
  get problem(): string | undefined {
    return this.#problem;
  }

  followed(a: HeldFile, b: HeldFile): boolean {
    return this.#pairs.has(`${a.id}>${b.id}`);
  }

  /** @returns true where something is otherwise than at the last look */
  async look(): Promise<boolean> {
    const seen = await this.#fingerprint();
    if (seen === this.#seen) return false;
    for (let attempt = 0; attempt < attempts; attempt++) {
      this.#seen = await this.#fingerprint();
      if (await this.#read()) return true;
    }
    // A manifest that names what is not there: the next look tries again.
    this.#seen = '';
    return true;
  }

  /** Of the manifest, and of the file that is appended to: a file put in its place leaves the manifest as it is. */
  async #fingerprint(): Promise<string> {
    const dir = appendDir(this.#place);
    const last = this.#now?.incrs.at(-1);
    const [manifest, file] = await Promise.all(
      [manifestName(this.#place), last?.name].map(async (name) =>
        name === undefined ? undefined : stat(join(dir, name), { bigint: true }).catch(() => undefined),
      ),
    );
    return `${manifest?.ino} ${manifest?.mtimeNs} ${manifest?.size} ${file?.ino}`;
  }

  async #read(): Promise<boolean> {
    const dir = appendDir(this.#place);
    const path = join(dir, manifestName(this.#place));
    let manifest: ReturnType<typeof parseAofManifest>;
    try {
      manifest = parseAofManifest(await readFile(path));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      this.#problem = code === 'ENOENT' ? `${path} is not there` : message;
      if (code === 'ENOENT' || error instanceof RewindError) this.#now = undefined;
      return code === 'ENOENT';
    }
    const incrs: HeldFile[] = [];
    for (const file of manifest.incrs) {
      const held = await this.#held.hold(dir, file);
      if (!held) return this.#missing(file.name);
      const before = incrs.at(-1);
      if (before) this.#pairs.add(`${before.id}>${held.id}`);
      incrs.push(held);
    }
    const base = manifest.base && (await this.#held.hold(dir, manifest.base));
    if (manifest.base && !base) return this.#missing(manifest.base.name);
    this.#now = { ...(base ? { base } : {}), incrs };
    this.#problem = undefined;
    return true;
  }

  #missing(name: string): false {
    this.#problem = `the manifest names ${name}, which is not there`;
    return false;
  }
}
