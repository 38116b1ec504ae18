import { appendFile, mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { segmentsDirectory } from '../../archive/layout.ts';
import { resp, timestamp, type Word } from './aof-file.ts';

/** An append-only folder as a server leaves it, written byte by byte: for tests that need no server. */
export class WrittenAof {
  readonly dir: string;
  #seq = 0;

  constructor(dir: string) {
    this.dir = dir;
  }

  /** A rewrite: another base, and the incr that begins with it. */
  async rewrite(base: string): Promise<void> {
    const folder = join(this.dir, 'appendonlydir');
    await mkdir(folder, { recursive: true });
    this.#seq += 1;
    const name = `appendonly.aof.${this.#seq}.base.rdb`;
    await writeFile(join(folder, name), `REDIS0011${base}`);
    const history = Array.from({ length: this.#seq - 1 }, (_, i) => `file ${this.#incr(i + 1)} seq ${i + 1} type h\n`);
    await writeFile(join(folder, this.#incr(this.#seq)), '');
    await writeFile(
      join(folder, 'appendonly.aof.manifest'),
      `file ${name} seq ${this.#seq} type b\n${history.join('')}file ${this.#incr(this.#seq)} seq ${this.#seq} type i\n`,
    );
    await this.append(['SELECT', '0']);
  }

  append(...commands: readonly (readonly Word[])[]): Promise<void> {
    return this.raw(...commands.map((words) => resp(...words)));
  }

  second(seconds: number): Promise<void> {
    return this.raw(timestamp(seconds));
  }

  async raw(...bytes: readonly Uint8Array[]): Promise<void> {
    await appendFile(join(this.dir, 'appendonlydir', this.#incr(this.#seq)), Buffer.concat(bytes));
  }

  #incr = (seq: number): string => `appendonly.aof.${seq}.incr.aof`;
}

/** Makes every segment of a file repository that is newer than `since` look as if it had been stored at `ms`. */
export async function storedAt(root: string, instance: string, timeline: number, known: Set<string>, ms: number) {
  const folder = join(root, segmentsDirectory(instance, timeline));
  for (const name of await readdir(folder)) {
    if (known.has(name)) continue;
    known.add(name);
    await utimes(join(folder, name), ms / 1_000, ms / 1_000);
  }
}

export const removeAll = (path: string): Promise<void> => rm(path, { recursive: true, force: true });
