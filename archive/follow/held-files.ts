import { randomBytes } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { type FileHandle, link, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { AofFile } from '../../aof/manifest.ts';

/** A file of the append-only directory that is kept, whatever Redis does with its name. */
export interface HeldFile {
  readonly name: string;
  readonly seq: number;
  readonly type: 'base' | 'incr';
  /** Inode and name: either may come again for another file. */
  readonly id: string;
  readonly ino: string;
  readonly handle: FileHandle;
  /** Undefined where the system refuses a link: then only this process holds it. */
  readonly link?: string;
}

const letters = { base: 'b', incr: 'i' } as const;
const isThere = [() => true, () => false] as const;
const linkName = /^(\d+)-([bi])(\d+)-(.+)$/;

/**
 * The files that are not shipped, by hard links beside Redis' folder: a rewrite deletes them within the second in which it
 * ends. A link outlives this process, an open descriptor (where links are refused) does not.
 */
export class HeldFiles {
  readonly #folder: string;
  readonly #files = new Map<string, HeldFile>();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** With what an earlier follower left there. */
  static async open(folder: string): Promise<HeldFiles> {
    const held = new HeldFiles(folder);
    for (const entry of await readdir(folder).catch(() => [] as string[])) {
      const path = join(folder, entry);
      const [, , letter, seq, name] = linkName.exec(entry) ?? [];
      if (name === undefined) {
        await unlink(path).catch(() => undefined);
        continue;
      }
      const handle = await open(path, 'r').catch(() => undefined);
      if (!handle) continue;
      const ino = String((await handle.stat({ bigint: true })).ino);
      held.#files.set(ino, {
        name,
        seq: Number(seq),
        type: letter === 'b' ? 'base' : 'incr',
        id: `${ino}:${name}`,
        ino,
        handle,
        link: path,
      });
    }
    return held;
  }

  /** Holds a file that a manifest names. @returns undefined where it is gone already */
  async hold(folder: string, file: AofFile): Promise<HeldFile | undefined> {
    if (file.type === 'history') return undefined;
    const path = join(folder, file.name);
    const found = await statOf(path);
    if (!found) return undefined;
    const known = this.#files.get(String(found.ino));
    if (known?.name === file.name) return known;
    const temporary = join(this.#folder, `.${randomBytes(8).toString('hex')}`);
    const linked = await this.#link(path, temporary);
    if (linked === undefined) return undefined;
    const handle = await open(linked ? temporary : path, 'r').catch(() => undefined);
    if (!handle) {
      // It may be linked and not read, or no descriptor is left: each look would leave a link to what Redis has deleted.
      if (linked) await unlink(temporary).catch(() => undefined);
      return undefined;
    }
    const ino = String((await handle.stat({ bigint: true })).ino);
    const target = join(this.#folder, `${ino}-${letters[file.type]}${file.seq}-${file.name}`);
    const named = linked && (await rename(temporary, target).then(...isThere));
    // Of two names of one file a rename leaves both; and what got no name, on a full disk, is held by its descriptor.
    if (linked) await unlink(temporary).catch(() => undefined);
    await this.#files.get(ino)?.handle.close();
    const held: HeldFile = {
      ...{ name: file.name, seq: file.seq, type: file.type, id: `${ino}:${file.name}`, ino, handle },
      ...(named ? { link: target } : {}),
    };
    this.#files.set(ino, held);
    return held;
  }

  /** False where the system refuses links here; undefined where the file is gone. */
  async #link(from: string, to: string): Promise<boolean | undefined> {
    try {
      await link(from, to);
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT') return false;
      // Either of the two folders may be what is missing.
      if (!(await statOf(from))) return undefined;
      const made = await mkdir(this.#folder, { recursive: true, mode: 0o700 }).catch(() => undefined);
      return made === undefined ? false : this.#link(from, to);
    }
  }

  all(): HeldFile[] {
    return [...this.#files.values()];
  }

  has({ ino, id }: HeldFile): boolean {
    return this.#files.get(ino)?.id === id;
  }

  /** Those that nobody but this holds, with their sizes: what they take is ours to answer for. */
  async onlyOurs(): Promise<{ file: HeldFile; sizeBytes: number }[]> {
    const ours: { file: HeldFile; sizeBytes: number }[] = [];
    for (const file of this.all()) {
      // Let go of meanwhile: undefined.
      const { nlink = Number.POSITIVE_INFINITY, size = 0 } = (await file.handle.stat().catch(() => undefined)) ?? {};
      if (nlink <= (file.link === undefined ? 0 : 1)) ours.push({ file, sizeBytes: size });
    }
    return ours;
  }

  async release(file: HeldFile): Promise<void> {
    this.#files.delete(file.ino);
    await file.handle.close().catch(() => undefined);
    if (file.link !== undefined) await unlink(file.link).catch(() => undefined);
  }

  /** Closes descriptors; links stay for the next follower. */
  async close(): Promise<void> {
    for (const { handle } of this.all()) await handle.close().catch(() => undefined);
    this.#files.clear();
  }
}

const statOf = (path: string): Promise<BigIntStats | undefined> => stat(path, { bigint: true }).catch(() => undefined);
