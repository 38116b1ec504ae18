import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { ByteStrings } from '../keys/byte-strings.ts';
import { keyBytes } from './key-line.ts';

/** The keys that a restore left as they were in the live server, out of its file of names. */
export class KeptKeys {
  readonly #names = new ByteStrings();
  #scratch = Buffer.allocUnsafe(1024);

  static async read(path: string): Promise<KeptKeys> {
    const kept = new KeptKeys();
    for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
      if (line === '') continue;
      const { db, key, base64, outcome } = JSON.parse(line) as {
        db?: number;
        key?: string;
        base64?: boolean;
        outcome?: string;
      };
      // A function library's line has neither.
      if (outcome !== 'kept' || db === undefined || key === undefined) continue;
      const bytes = keyBytes({ key, base64 });
      kept.#names.add(kept.#named(db, bytes, 0, bytes.length));
    }
    return kept;
  }

  has(db: number, bytes: Uint8Array, start: number, end: number): boolean {
    return this.#names.size > 0 && this.#names.has(this.#named(db, bytes, start, end));
  }

  /** The database's number in four bytes, then the key. */
  #named(db: number, bytes: Uint8Array, start: number, end: number): Buffer {
    const length = 4 + end - start;
    if (length > this.#scratch.length) this.#scratch = Buffer.allocUnsafe(2 * length);
    this.#scratch.writeUInt32BE(db, 0);
    this.#scratch.set(bytes.subarray(start, end), 4);
    return this.#scratch.subarray(0, length);
  }
}
