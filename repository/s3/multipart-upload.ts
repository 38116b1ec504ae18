import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { RewindError } from '../../errors/rewind-error.ts';
import { Pacer } from '../pacer.ts';
import type { PutOptions, UploadCursor } from '../repository.ts';
import type { Fill } from '../source-reader.ts';
import { ContentChecksum } from './content-checksum.ts';
import { crc32, crc32Base64 } from './crc32.ts';
import type { StoredPart } from './open-uploads.ts';
import { MOST_PARTS, type PartPlan } from './part-plan.ts';
import type { S3Store } from './store.ts';
import { withUnsignedBody } from './unsigned-body.ts';

/** An upload that the store has open. */
export interface Upload {
  readonly key: string;
  readonly uploadId: string;
}

export interface PartsToStore {
  /** Yields the object's bytes from the first to the last. */
  readonly fill: Fill;
  readonly plan: PartPlan;
  /** For the progress; 0 where nobody knows. */
  readonly total: number;
  /** Parts of an earlier attempt: trusted where size and checksum are those of the bytes here. */
  readonly there: ReadonlyMap<number, StoredPart>;
}

/** All parts of an upload, and the checksum of their bytes as they were read here. */
export interface SentParts {
  readonly parts: CompletedPart[];
  readonly checksum: ContentChecksum;
}

/** Opens an upload in parts. The store is asked to keep one checksum over all bytes. */
export async function openUpload(
  store: S3Store,
  key: string,
  partSize: number,
  signal?: AbortSignal,
): Promise<UploadCursor> {
  const request = new CreateMultipartUploadCommand({
    ...store.object(key),
    ...store.asked,
    ChecksumAlgorithm: 'CRC32',
    ChecksumType: 'FULL_OBJECT',
  });
  const { UploadId } = await store.told(
    `beginning ${key}`,
    () => store.client.send(request, { abortSignal: signal }),
    signal,
  );
  if (!UploadId) throw new RewindError('STORE_REFUSED', `The store began an upload of ${key} without naming it.`);
  return { uploadId: UploadId, partSize };
}

/** Sends what the store does not have yet, several parts at once. */
export async function storeParts(
  store: S3Store,
  { key, uploadId }: Upload,
  { fill, plan, total, there }: PartsToStore,
  options: PutOptions,
): Promise<SentParts> {
  const failed = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, failed.signal]) : failed.signal;
  const pacer = new Pacer(options.bytesPerSecond);
  const buffers = new BufferPool(plan);
  const checksum = new ContentChecksum();
  const parts: CompletedPart[] = [];
  const underWay = new Set<Promise<void>>();
  let done = 0;

  const send = async (number: number, bytes: Buffer, crc: string): Promise<void> => {
    await pacer.before(bytes.length, signal);
    const command = new UploadPartCommand({
      ...store.object(key),
      UploadId: uploadId,
      PartNumber: number,
      Body: bytes,
      ContentLength: bytes.length,
      ChecksumCRC32: crc,
    });
    const request = withUnsignedBody(command);
    const { ETag } = await store.told(
      `storing part ${number} of ${key}`,
      () => store.client.send(request, { abortSignal: signal }),
      signal,
    );
    stored(number, ETag, crc, bytes.length);
  };
  const stored = (number: number, ETag: string | undefined, crc: string, bytes: number): void => {
    parts[number - 1] = { PartNumber: number, ETag, ChecksumCRC32: crc };
    done += bytes;
    options.onProgress?.(done, Math.max(total, done));
  };

  try {
    for (let number = 1; ; number += 1) {
      const buffer = await buffers.take(signal);
      const filled = await fill(buffer);
      if (filled === 0) break;
      if (number > MOST_PARTS) {
        throw new RewindError(
          'OBJECT_TOO_LARGE',
          `${key} is longer than ${MOST_PARTS} parts of ${plan.partSize} bytes.`,
        );
      }
      const bytes = buffer.subarray(0, filled);
      const crc = crc32(bytes);
      checksum.add(crc, filled);
      const part = there.get(number);
      if (part?.sizeBytes === filled && part.crc32 === crc32Base64(crc)) {
        stored(number, part.etag, part.crc32, filled);
        buffers.give(buffer);
        continue;
      }
      const sending: Promise<void> = send(number, bytes, crc32Base64(crc))
        .catch((error) => failed.abort(error))
        .finally(() => {
          underWay.delete(sending);
          buffers.give(buffer);
        });
      underWay.add(sending);
    }
  } catch (error) {
    failed.abort(error);
  }
  await Promise.all(underWay);
  options.signal?.throwIfAborted();
  failed.signal.throwIfAborted();
  return { parts, checksum };
}

/** Makes an object of the parts, unless its name is taken. */
export async function completeUpload(
  store: S3Store,
  { key, uploadId }: Upload,
  { parts, checksum }: SentParts,
  signal?: AbortSignal,
): Promise<void> {
  const request = new CompleteMultipartUploadCommand({
    ...store.object(key),
    UploadId: uploadId,
    MultipartUpload: { Parts: parts },
    ChecksumCRC32: checksum.fullObject,
    ChecksumType: 'FULL_OBJECT',
    IfNoneMatch: '*',
  });
  await store.told(`completing ${key}`, () => store.client.send(request, { abortSignal: signal }), signal);
}

/** So many buffers and no more: the memory that an upload takes, whatever the size of its object. */
class BufferPool {
  readonly #free: Buffer[] = [];
  readonly #waiting: ((buffer: Buffer) => void)[] = [];
  readonly #partSize: number;
  #toMake: number;

  constructor({ partSize, inFlight }: PartPlan) {
    this.#partSize = partSize;
    this.#toMake = inFlight;
  }

  take(signal: AbortSignal): Promise<Buffer> {
    signal.throwIfAborted();
    const free = this.#free.pop();
    if (free) return Promise.resolve(free);
    if (this.#toMake > 0) {
      this.#toMake -= 1;
      return Promise.resolve(Buffer.allocUnsafeSlow(this.#partSize));
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  give(buffer: Buffer): void {
    const next = this.#waiting.shift();
    if (next) next(buffer);
    else this.#free.push(buffer);
  }
}
