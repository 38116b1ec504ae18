import { constants } from 'node:fs';
import { type FileHandle, lstat, open, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { RewindError } from '../../errors/rewind-error.ts';
import { assertKey, assertPrefix } from '../object-key.ts';
import { Pacer } from '../pacer.ts';
import type {
  FileSource,
  ListedObject,
  PutFileOptions,
  PutOptions,
  PutStreamOptions,
  ReadOptions,
  Repository,
  StoredObject,
} from '../repository.ts';
import { type Fill, withFileReader, withStreamReader } from '../source-reader.ts';
import { assertAsStored } from '../stored-comparison.ts';
import { createDurably, moveDurably, removeEmptyFolders, targetOfHalfMade } from './durable-file.ts';
import { fileFailure } from './file-failure.ts';
import { walkFiles } from './walk-files.ts';

const COPY_BYTES = 4 * 1024 * 1024;

/** A repository in a folder. A file system keeps no checksum and no encryption of its own, and none is claimed. */
export class FileRepository implements Repository {
  readonly kind = 'file';
  readonly url: string;
  readonly #root: string;

  /** @param root absolute; made when the first object is stored */
  constructor(url: string, root: string) {
    this.url = url;
    this.#root = root;
  }

  putFile(key: string, source: FileSource, options: PutFileOptions): Promise<StoredObject> {
    const { sizeBytes } = options;
    const attempt = () => withFileReader(source, sizeBytes, (fill) => this.#put(key, fill, sizeBytes, options));
    // Where somebody else was first, the second time compares with what they stored.
    return this.#told(async () => (await attempt()) ?? (await attempt()) ?? fail(exists(key)));
  }

  /** A copy on a disk is made as fast as the file is there. */
  putAhead(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  putStream(key: string, chunks: AsyncIterable<Uint8Array>, options: PutStreamOptions = {}): Promise<StoredObject> {
    const attempt = () => withStreamReader(chunks, (fill) => this.#put(key, fill, options.sizeHint ?? 0, options));
    return this.#told(async () => (await attempt()) ?? fail(exists(key)));
  }

  putSmall(key: string, bytes: Uint8Array): Promise<StoredObject> {
    const attempt = () => withStreamReader(Readable.from([bytes]), (fill) => this.#put(key, fill, bytes.length, {}));
    return this.#told(async () => (await attempt()) ?? (await attempt()) ?? fail(exists(key)));
  }

  stat(key: string): Promise<StoredObject | undefined> {
    return this.#told(async () => {
      const found = await lstat(this.#path(key)).catch(goneIsUndefined);
      return found?.isFile() ? stored(key, found.size) : undefined;
    });
  }

  read(key: string, options: ReadOptions = {}): Promise<Readable> {
    return this.#told(async () => {
      const file = await this.#open(key);
      const { start, end, signal } = options;
      return file.createReadStream({
        start,
        end: end === undefined ? undefined : end - 1,
        highWaterMark: 1024 * 1024,
        signal,
      });
    });
  }

  readSmall(key: string, maxBytes: number): Promise<Buffer> {
    return this.#told(async () => {
      const file = await this.#open(key);
      try {
        const { size } = await file.stat();
        if (size > maxBytes) {
          throw new RewindError('OBJECT_TOO_LARGE', `${key} has ${size} bytes; at most ${maxBytes} are read at once.`);
        }
        return await file.readFile();
      } finally {
        await file.close();
      }
    });
  }

  async *list(prefix: string): AsyncGenerator<ListedObject> {
    assertPrefix(prefix);
    try {
      for await (const { key, name, stats } of walkFiles(this.#root, prefix)) {
        if (name.startsWith('.') || !key.startsWith(prefix)) continue;
        yield { key, sizeBytes: stats.size, modified: stats.mtime };
      }
    } catch (error) {
      throw fileFailure(error, this.#root);
    }
  }

  sweepUploads(prefix: string, startedBefore?: Date): Promise<number> {
    assertPrefix(prefix);
    return this.#told(async () => {
      let swept = 0;
      const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
      for await (const { key, name, path, stats } of walkFiles(this.#root, folder)) {
        const target = targetOfHalfMade(name);
        if (target === undefined || !`${key.slice(0, -name.length)}${target}`.startsWith(prefix)) continue;
        // The last write, not the first: what is still written to is not abandoned.
        if (startedBefore && stats.mtime >= startedBefore) continue;
        await this.#unlink(path);
        swept += 1;
      }
      return swept;
    });
  }

  remove(key: string): Promise<void> {
    return this.#told(() => this.#unlink(this.#path(key)));
  }

  move(fromDirectory: string, toDirectory: string): Promise<void> {
    assertPrefix(toDirectory);
    return this.#told(async () => {
      for await (const { key } of this.list(fromDirectory)) {
        const to = `${toDirectory}${key.slice(fromDirectory.length)}`;
        if (!(await moveDurably(this.#path(key), this.#path(to)))) {
          throw new RewindError('OBJECT_EXISTS', `${key} cannot be moved: ${to} is there with other bytes.`);
        }
      }
      await removeEmptyFolders(join(this.#root, fromDirectory), this.#root);
    });
  }

  async verifyStored(
    key: string,
    expected: Pick<StoredObject, 'sizeBytes' | 'checksum' | 'encryption'>,
  ): Promise<StoredObject> {
    return assertAsStored(key, await this.stat(key), expected);
  }

  close(): void {}

  /** @returns undefined where the name was taken while the bytes were written */
  async #put(key: string, fill: Fill, total: number, options: PutOptions): Promise<StoredObject | undefined> {
    const path = this.#path(key);
    const pacer = new Pacer(options.bytesPerSecond);
    const buffer = Buffer.allocUnsafeSlow(COPY_BYTES);
    const taken = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(goneIsUndefined);
    let sizeBytes = 0;
    const each = async (use: (bytes: Buffer) => Promise<void>) => {
      for (let filled = await fill(buffer); filled > 0; filled = await fill(buffer)) {
        options.signal?.throwIfAborted();
        await pacer.before(filled, options.signal);
        await use(buffer.subarray(0, filled));
        sizeBytes += filled;
        options.onProgress?.(sizeBytes, Math.max(total, sizeBytes));
      }
    };
    if (taken) {
      await compare(key, taken, each).finally(() => taken.close());
    } else {
      const write = (file: FileHandle) => each((bytes) => writeAll(file, bytes));
      const created = await createDurably(path, write).catch(async (error) => {
        await removeEmptyFolders(dirname(path), this.#root);
        throw error;
      });
      if (!created) return undefined;
    }
    return stored(key, sizeBytes);
  }

  async #open(key: string): Promise<FileHandle> {
    const path = this.#path(key);
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch(goneIsUndefined);
    if (!file) throw new RewindError('OBJECT_MISSING', `${key} is not in ${this.url}.`);
    return file;
  }

  async #unlink(path: string): Promise<void> {
    await unlink(path).catch(goneIsUndefined);
    await removeEmptyFolders(dirname(path), this.#root);
  }

  #path(key: string): string {
    assertKey(key);
    return join(this.#root, key);
  }

  async #told<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      throw fileFailure(error, this.#root);
    }
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    written += (await file.write(bytes, written, bytes.length - written)).bytesWritten;
  }
}

/** What is stored under the name already has to be the same, byte by byte. */
async function compare(
  key: string,
  taken: FileHandle,
  each: (use: (bytes: Buffer) => Promise<void>) => Promise<void>,
): Promise<void> {
  let position = 0;
  await each(async (bytes) => {
    const there = Buffer.allocUnsafe(bytes.length);
    const { bytesRead } = await taken.read(there, 0, bytes.length, position);
    if (bytesRead < bytes.length || !there.equals(bytes)) throw exists(key);
    position += bytes.length;
  });
  if ((await taken.stat()).size !== position) throw exists(key);
}

function fail(error: RewindError): never {
  throw error;
}

const exists = (key: string): RewindError =>
  new RewindError('OBJECT_EXISTS', `${key} is there already with other bytes; names are never overwritten.`);

const stored = (key: string, sizeBytes: number): StoredObject => ({ key, sizeBytes, encryption: { sse: 'none' } });

function goneIsUndefined(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
