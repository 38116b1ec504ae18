import { addAbortSignal, Readable } from 'node:stream';
import { paginateListObjectsV2, type S3Client } from '@aws-sdk/client-s3';
import { RewindError } from '../../errors/rewind-error.ts';
import type {
  FileSource,
  ListedObject,
  PutAheadOptions,
  PutFileOptions,
  PutStreamOptions,
  ReadOptions,
  Repository,
  StoredObject,
  UploadCursor,
} from '../repository.ts';
import { assertAsStored, assertSameBytes } from '../stored-comparison.ts';
import { copyObject } from './copy-object.ts';
import { EncryptionCheck } from './encryption-check.ts';
import { head } from './head.ts';
import { abortUpload, openUploads } from './open-uploads.ts';
import { putObject } from './put-object.ts';
import { removeObject } from './remove-object.ts';
import { ResumingRead } from './resuming-read.ts';
import { readEqual } from './same-content.ts';
import { type S3Place, S3Store } from './store.ts';
import { Uploader } from './uploader.ts';

/** A repository in a bucket of any S3-compatible store. */
export class S3Repository implements Repository {
  readonly kind = 's3';
  readonly url: string;
  readonly #store: S3Store;
  readonly #encryption: EncryptionCheck;
  readonly #uploader: Uploader;

  constructor(client: S3Client, place: S3Place) {
    this.url = place.url;
    this.#store = new S3Store(client, place);
    this.#encryption = new EncryptionCheck(place.encryption, {
      readSmall: (key, maxBytes) => this.readSmall(key, maxBytes),
      create: (key, bytes) => this.#create(key, bytes),
    });
    this.#uploader = new Uploader(this.#store, this.#encryption);
  }

  putFile(key: string, source: FileSource, options: PutFileOptions): Promise<StoredObject> {
    return this.#uploader.putFile(key, source, options);
  }

  putAhead(key: string, fd: number, options: PutAheadOptions): Promise<UploadCursor | undefined> {
    return this.#uploader.putAhead(key, fd, options);
  }

  putStream(key: string, chunks: AsyncIterable<Uint8Array>, options: PutStreamOptions = {}): Promise<StoredObject> {
    return this.#uploader.putStream(key, chunks, options);
  }

  putSmall(key: string, bytes: Uint8Array): Promise<StoredObject> {
    return this.#uploader.putBytes(key, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }

  stat(key: string): Promise<StoredObject | undefined> {
    return head(this.#store, key);
  }

  async read(key: string, options: ReadOptions = {}): Promise<Readable> {
    const reading = await ResumingRead.open(this.#store, key, options);
    const readable = Readable.from(reading.chunks(), { objectMode: false });
    // Also when nobody has read a byte yet: the connection would stay taken.
    readable.once('close', () => reading.close());
    return options.signal ? addAbortSignal(options.signal, readable) : readable;
  }

  async readSmall(key: string, maxBytes: number): Promise<Buffer> {
    const reading = await ResumingRead.open(this.#store, key, {});
    const chunks = [];
    if (reading.sizeBytes > maxBytes) {
      reading.close();
      throw new RewindError(
        'OBJECT_TOO_LARGE',
        `${key} has ${reading.sizeBytes} bytes; at most ${maxBytes} are read at once.`,
      );
    }
    for await (const chunk of reading.chunks()) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  async *list(prefix: string): AsyncGenerator<ListedObject> {
    const pages = paginateListObjectsV2({ client: this.#store.client }, this.#store.below(prefix));
    for (;;) {
      const { value: page, done } = await this.#store.told(`listing ${prefix}`, () => pages.next());
      if (done) return;
      for (const { Key, Size, LastModified } of page.Contents ?? []) {
        const key = this.#store.keyOf(Key);
        // Consoles make objects named like folders; they are nobody's file.
        if (!key || key.endsWith('/')) continue;
        yield { key, sizeBytes: Size ?? 0, modified: LastModified ?? new Date(0) };
      }
    }
  }

  async sweepUploads(prefix: string, startedBefore?: Date): Promise<number> {
    let swept = 0;
    for (const upload of await openUploads(this.#store, prefix)) {
      if (startedBefore && upload.startedAt && upload.startedAt >= startedBefore) continue;
      await abortUpload(this.#store, upload);
      swept += 1;
    }
    return swept;
  }

  remove(key: string): Promise<void> {
    return removeObject(this.#store, key);
  }

  async move(fromDirectory: string, toDirectory: string): Promise<void> {
    for await (const { key } of this.list(fromDirectory)) {
      const to = `${toDirectory}${key.slice(fromDirectory.length)}`;
      const source = await head(this.#store, key);
      if (!source) continue;
      if (!(await head(this.#store, to))) {
        await this.#store.told(`copying ${key} to ${to}`, () => copyObject(this.#store, key, to, source.sizeBytes));
      }
      await this.#encryption.assert(await this.#assertMoved(to, source));
      await removeObject(this.#store, key);
    }
  }

  /** @throws OBJECT_MISSING, OBJECT_DIFFERS */
  async #assertMoved(to: string, source: StoredObject): Promise<StoredObject> {
    const copy = await head(this.#store, to);
    try {
      return assertSameBytes(to, copy, source);
    } catch (error) {
      // What has rotted since it was stored is copied as it is now, and is evidence all the more.
      if (copy && (await readEqual(this.#store, source, copy))) return copy;
      throw error;
    }
  }

  async verifyStored(
    key: string,
    expected: Pick<StoredObject, 'sizeBytes' | 'checksum' | 'encryption'>,
  ): Promise<StoredObject> {
    const found = assertAsStored(key, await head(this.#store, key), expected);
    await this.#encryption.assert(found);
    return found;
  }

  close(): void {
    this.#store.client.destroy();
  }

  async #create(key: string, bytes: Uint8Array): Promise<boolean> {
    return (await this.#store.told(`storing ${key}`, () => putObject(this.#store, key, bytes))) !== 'taken';
  }
}
