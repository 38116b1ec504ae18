import { createHash } from 'node:crypto';
import type { Repository } from '../../repository/repository.ts';
import { segmentKey } from '../layout.ts';
import { encodeSegmentHeader, headerBytes, type SegmentHeader } from '../segment.ts';
import { digestOfBytes, slicesOf } from './file-tail.ts';
import type { HeldFile } from './held-files.ts';

/** A longer body is not held: it is read twice. */
const heldBodyBytes = 16 * 1024 * 1024;
/** Memory is taken in steps of so much. */
const stepBytes = 1024 * 1024;

/** A segment that is ready to be stored: twice the same gives the same bytes. */
export interface ReadySegment {
  readonly key: string;
  readonly header: SegmentHeader;
  readonly digest: string;
  readonly store: (signal: AbortSignal) => Promise<unknown>;
}

/**
 * Makes one segment after the other ready in the same memory: each is valid until the next one is made. To take some MB anew
 * for each, and to have them collected, took more than half of a follower's processor time.
 */
export class SegmentMaker {
  readonly #repository: Repository;
  #memory = Buffer.alloc(0);

  constructor(repository: Repository) {
    this.#repository = repository;
  }

  /** @returns undefined where the file has no such bytes any more */
  async ready(
    { handle }: Pick<HeldFile, 'handle'>,
    header: Omit<SegmentHeader, 'formatVersion' | 'sha256'>,
  ): Promise<ReadySegment | undefined> {
    const key = segmentKey(header.instance, header.timeline, header.start);
    const from = header.file.offset;
    const length = header.end - header.start;
    if (length > heldBodyBytes) return this.#streamed(key, { handle }, header);
    // The header's line has no fixed length, and is made last: it ends where the body begins.
    const bodyAt = headerBytes + 1;
    const memory = this.#of(bodyAt + length);
    const body = memory.subarray(bodyAt, bodyAt + length);
    for (let read = 0; read < length; ) {
      const { bytesRead } = await handle.read(body, read, length - read, from + read);
      if (bytesRead === 0) return undefined;
      read += bytesRead;
    }
    const sha256 = createHash('sha256').update(body).digest('hex');
    const { line, digest, header: whole } = encodeSegmentHeader({ ...header, sha256 });
    line.copy(memory, bodyAt - line.length);
    const bytes = memory.subarray(bodyAt - line.length, bodyAt + length);
    return { key, header: whole, digest, store: () => this.#repository.putSmall(key, bytes) };
  }

  async #streamed(
    key: string,
    { handle }: Pick<HeldFile, 'handle'>,
    header: Omit<SegmentHeader, 'formatVersion' | 'sha256'>,
  ): Promise<ReadySegment | undefined> {
    const from = header.file.offset;
    const to = from + header.end - header.start;
    const sha256 = await digestOfBytes(handle, from, to);
    if (sha256 === undefined) return undefined;
    const { line, digest, header: whole } = encodeSegmentHeader({ ...header, sha256 });
    const bytes = async function* () {
      yield line;
      for await (const slice of slicesOf(handle, from, to)) yield Buffer.from(slice);
    };
    const sizeHint = line.length + to - from;
    const store = (signal: AbortSignal) => this.#repository.putStream(key, bytes(), { sizeHint, signal });
    return { key, header: whole, digest, store };
  }

  #of(bytes: number): Buffer {
    if (this.#memory.length < bytes) {
      this.#memory = Buffer.allocUnsafeSlow(Math.ceil(bytes / stepBytes) * stepBytes);
    }
    return this.#memory;
  }
}
