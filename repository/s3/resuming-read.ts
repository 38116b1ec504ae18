import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { RewindError } from '../../errors/rewind-error.ts';
import type { ReadOptions } from '../repository.ts';
import type { S3Store } from './store.ts';
import { isEmptyRange, isNotFound } from './store-failure.ts';

/** Breaks in a row, without a byte between them, after which the store counts as gone; waits in milliseconds. */
const BREAKS = 6;
const FIRST_WAIT_MS = 200;

/** An object's bytes, from the same version to the end, however often the connection breaks. */
export class ResumingRead {
  readonly #store: S3Store;
  readonly #key: string;
  readonly #options: ReadOptions;
  #position: number;
  #end: number | undefined;
  #etag: string | undefined;
  #body: Readable | undefined;

  private constructor(store: S3Store, key: string, options: ReadOptions) {
    this.#store = store;
    this.#key = key;
    this.#options = options;
    this.#position = options.start ?? 0;
    this.#end = options.end;
  }

  /** Makes the first request, so that a missing object shows here and not at the first byte. @throws OBJECT_MISSING */
  static async open(store: S3Store, key: string, options: ReadOptions): Promise<ResumingRead> {
    const reading = new ResumingRead(store, key, options);
    reading.#body = await reading.#request();
    return reading;
  }

  /** How many bytes will come. */
  get sizeBytes(): number {
    return (this.#end as number) - (this.#options.start ?? 0);
  }

  /** Lets go of the connection; for who does not read to the end. */
  close(): void {
    this.#body?.destroy();
  }

  /** @throws STORE_UNREACHABLE; OBJECT_UNREADABLE where the store answers each time and breaks off at the same byte */
  async *chunks(): AsyncGenerator<Uint8Array> {
    const { signal } = this.#options;
    let answered = true;
    for (let breaks = 0; ; ) {
      const from = this.#position;
      let broken: unknown;
      try {
        this.#body ??= await this.#request();
        for await (const chunk of this.#body) {
          this.#position += chunk.length;
          yield chunk;
        }
      } catch (error) {
        if (signal?.aborted || (error instanceof RewindError && !error.retryable)) throw error;
        broken = error;
      }
      if (this.#position >= (this.#end ?? Number.POSITIVE_INFINITY)) return;
      answered = this.#body !== undefined && (answered || this.#position > from);
      breaks = this.#position > from ? 1 : breaks + 1;
      if (breaks > BREAKS) throw this.#broken(answered, broken);
      this.#body = undefined;
      await sleep(FIRST_WAIT_MS * 2 ** (breaks - 1), undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }

  async #request(): Promise<Readable> {
    const { signal } = this.#options;
    const request = new GetObjectCommand({
      ...this.#store.object(this.#key),
      // Also from the beginning: the answer to a range tells the object's whole length, whatever cuts the answer short.
      Range: `bytes=${this.#position}-${this.#end === undefined ? '' : this.#end - 1}`,
      IfMatch: this.#etag,
    });
    const answer = await this.#store.told(
      `reading ${this.#key}`,
      () =>
        this.#store.client.send(request, { abortSignal: signal }).catch((error) => {
          if (isEmptyRange(error) && this.#position === 0) return undefined;
          if (!isNotFound(error)) throw error;
          throw new RewindError('OBJECT_MISSING', `${this.#key} is not in ${this.#store.place.url}.`, { cause: error });
        }),
      signal,
    );
    if (answer && this.#position > 0 && answer.ContentRange === undefined) {
      throw new RewindError('STORE_REFUSED', `The store sent all of ${this.#key} where it was asked for a part of it.`);
    }
    this.#etag ??= answer?.ETag;
    const total = totalOf(answer?.ContentRange) ?? answer?.ContentLength ?? 0;
    this.#end = Math.min(this.#end ?? total, total);
    return (answer?.Body as Readable | undefined) ?? Readable.from([]);
  }

  #broken(answered: boolean, cause: unknown): RewindError {
    const where = `at byte ${this.#position} of ${this.#end}, ${BREAKS} times in a row`;
    return answered
      ? new RewindError('OBJECT_UNREADABLE', `The store has ${this.#key} and breaks off ${where}.`, { cause })
      : new RewindError('STORE_UNREACHABLE', `Reading ${this.#key} in ${this.#store.place.url} broke off ${where}.`, {
          cause,
        });
  }
}

/** `bytes 5-9/10` → 10 */
function totalOf(contentRange: string | undefined): number | undefined {
  const total = contentRange?.split('/')[1];
  return total === undefined || total === '*' ? undefined : Number(total);
}
