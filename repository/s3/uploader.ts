import { RewindError } from '../../errors/rewind-error.ts';
import { growingParts } from '../growing-parts.ts';
import type {
  FileSource,
  PutAheadOptions,
  PutFileOptions,
  PutOptions,
  PutStreamOptions,
  StoredObject,
  UploadCursor,
} from '../repository.ts';
import { type Fill, withFileReader, withStreamReader } from '../source-reader.ts';
import { confirmUpload } from './confirm-upload.ts';
import type { EncryptionCheck } from './encryption-check.ts';
import { head } from './head.ts';
import { completeUpload, openUpload, type SentParts, storeParts } from './multipart-upload.ts';
import { abortUpload, openUploads, partsOf, type StoredPart } from './open-uploads.ts';
import { canContinue, type PartPlan, planAhead, planParts } from './part-plan.ts';
import { putObject } from './put-object.ts';
import { holdsSameBytes } from './same-content.ts';
import type { S3Store } from './store.ts';
import { isLostUpload, isTaken } from './store-failure.ts';

/** Whether an object that is there already holds the bytes that were to be stored. */
type IsSame = (found: StoredObject) => Promise<boolean>;

/** An upload that is open, and what it already has. */
interface Begun {
  readonly cursor: UploadCursor;
  readonly plan: PartPlan;
  readonly there: ReadonlyMap<number, StoredPart>;
}

/** Stores objects: one request for a small one, parts for a large one; then asks the store what it has. */
export class Uploader {
  readonly #store: S3Store;
  readonly #encryption: EncryptionCheck;

  constructor(store: S3Store, encryption: EncryptionCheck) {
    this.#store = store;
    this.#encryption = encryption;
  }

  async putBytes(key: string, bytes: Buffer, { signal, onProgress }: PutOptions = {}): Promise<StoredObject> {
    const doing = `storing ${key}`;
    const sent = await this.#store.told(doing, () => putObject(this.#store, key, bytes, signal), signal);
    if (sent === 'taken') {
      return this.#standing(
        key,
        (found) => withStreamReader(once(bytes), (fill) => this.#holds(found, fill, signal)),
        signal,
      );
    }
    const stored = await confirmUpload(this.#store, this.#encryption, key, sent);
    onProgress?.(bytes.length, bytes.length);
    return stored;
  }

  async putFile(key: string, source: FileSource, options: PutFileOptions): Promise<StoredObject> {
    const { sizeBytes, signal } = options;
    const reread = <T>(use: (fill: Fill) => Promise<T>) => withFileReader(source, sizeBytes, use);
    const isSame: IsSame = (found) => reread((fill) => this.#holds(found, fill, signal));
    if (await head(this.#store, key, signal)) return this.#standing(key, isSame, signal);
    const plan = planParts(sizeBytes, { paced: options.bytesPerSecond !== undefined });
    if (sizeBytes <= plan.partSize)
      return this.putBytes(key, await reread((fill) => wholeOf(fill, sizeBytes)), options);
    const begun = (await this.#continued(key, options)) ?? (await this.#begun(key, plan, signal));
    options.onCursor?.(begun.cursor);
    return reread((fill) =>
      this.#inParts(key, begun, fill, {
        ...options,
        total: sizeBytes,
        isSame,
        keepOpen: options.onCursor !== undefined,
      }),
    );
  }

  async putAhead(key: string, fd: number, options: PutAheadOptions): Promise<UploadCursor | undefined> {
    const { signal, whole, sizeHint } = options;
    const plan = planAhead(sizeHint, { paced: options.bytesPerSecond !== undefined });
    const fill = growingParts(fd, whole, signal);
    const first = Buffer.allocUnsafeSlow(plan.partSize);
    // What fits one part goes in one request once it is whole.
    if ((await fill(first)) === 0) return undefined;
    const begun = await this.#begun(key, plan, signal);
    options.onCursor(begun.cursor);
    const parts = { fill: startingWith(first, fill), plan, total: 0, there: begun.there };
    await storeParts(this.#store, { key, uploadId: begun.cursor.uploadId }, parts, options);
    return begun.cursor;
  }

  async putStream(key: string, chunks: AsyncIterable<Uint8Array>, options: PutStreamOptions): Promise<StoredObject> {
    const { sizeHint = 0, signal } = options;
    const plan = planParts(2 * sizeHint, { paced: options.bytesPerSecond !== undefined });
    return withStreamReader(chunks, async (fill) => {
      const first = Buffer.allocUnsafeSlow(plan.partSize);
      const filled = await fill(first);
      if (filled < plan.partSize) return this.putBytes(key, first.subarray(0, filled), options);
      const begun = await this.#begun(key, plan, signal);
      return this.#inParts(key, begun, startingWith(first, fill), { ...options, total: sizeHint, keepOpen: false });
    });
  }

  /** What an earlier attempt left, where the store still knows it. */
  async #continued(
    key: string,
    { resume, sizeBytes, bytesPerSecond, signal }: PutFileOptions,
  ): Promise<Begun | undefined> {
    if (!resume || !canContinue(resume.partSize, sizeBytes)) return undefined;
    const there = await partsOf(this.#store, key, resume.uploadId, signal);
    const plan = planParts(sizeBytes, { paced: bytesPerSecond !== undefined, partSize: resume.partSize });
    return there && { cursor: resume, plan, there };
  }

  async #begun(key: string, plan: PartPlan, signal?: AbortSignal): Promise<Begun> {
    return { cursor: await openUpload(this.#store, key, plan.partSize, signal), plan, there: new Map() };
  }

  async #inParts(
    key: string,
    { cursor, plan, there }: Begun,
    fill: Fill,
    options: PutOptions & { total: number; isSame?: IsSame; keepOpen: boolean },
  ): Promise<StoredObject> {
    const { signal, isSame, total } = options;
    const upload = { key, uploadId: cursor.uploadId };
    let sent: SentParts | undefined;
    try {
      sent = await storeParts(this.#store, upload, { fill, plan, total, there }, options);
      await completeUpload(this.#store, upload, sent, signal);
      const stored = await confirmUpload(this.#store, this.#encryption, key, sent.checksum);
      await this.#removeLeftovers(key);
      return stored;
    } catch (error) {
      const kept = options.keepOpen && (signal?.aborted || (error instanceof RewindError && error.retryable));
      // Somebody else stored it, or an answer was lost and it was this upload after all.
      const settled = isTaken(error) || isLostUpload(error);
      if (!kept || settled) await abortUpload(this.#store, upload).catch(() => undefined);
      if (!settled || signal?.aborted) throw error;
      const isSent: IsSame = async ({ sizeBytes, checksum }) =>
        !!sent && !!checksum && sizeBytes === sent.checksum.bytes && sent.checksum.agreesWith(checksum);
      return this.#standing(key, async (found) => (await isSent(found)) || !!(await isSame?.(found)), signal, error);
    }
  }

  /**
   * The object that stands under the name, if it holds the bytes that were to be stored.
   *
   * @throws OBJECT_EXISTS; `otherwise` where nothing stands there
   */
  async #standing(key: string, isSame: IsSame, signal?: AbortSignal, otherwise?: unknown): Promise<StoredObject> {
    const found = await head(this.#store, key, signal);
    if (!found) throw otherwise ?? new RewindError('STORE_UNAVAILABLE', `${key} is being stored by somebody else.`);
    if (!(await isSame(found))) {
      throw new RewindError('OBJECT_EXISTS', `${key} is there already with other bytes; names are never overwritten.`);
    }
    await this.#encryption.assert(found);
    return found;
  }

  #holds(found: StoredObject, fill: Fill, signal?: AbortSignal): Promise<boolean> {
    return holdsSameBytes(this.#store, found, fill, signal);
  }

  /** Uploads of this very name that crashed attempts left open, now that nobody needs them. */
  async #removeLeftovers(key: string): Promise<void> {
    try {
      for (const upload of await openUploads(this.#store, key)) {
        if (upload.key === key) await abortUpload(this.#store, upload);
      }
    } catch (error) {
      // The upload itself is done; who may not list uploads leaves them to the bucket's rules.
      if (!(error instanceof RewindError && error.code === 'STORE_ACCESS_DENIED')) throw error;
    }
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function wholeOf(fill: Fill, sizeBytes: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(sizeBytes);
  await fill(bytes);
  // Once more at the end: a file that has grown is not the one that was meant.
  await fill(Buffer.allocUnsafe(1));
  return bytes;
}

/** The first part was read to see whether there is a second. */
function startingWith(first: Buffer, fill: Fill): Fill {
  let pending: Buffer | undefined = first;
  return async (buffer) => {
    if (!pending) return fill(buffer);
    const filled = pending.copy(buffer);
    pending = undefined;
    return filled;
  };
}
