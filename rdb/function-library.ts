import { createHash } from 'node:crypto';
import type { FunctionLibrary } from './inspection.ts';
import type { PieceTarget } from './string-reader.ts';

/** Enough for the first line, `#!lua name=mylib`. */
const headBytes = 1024;

/** Takes a library's code, of any size, and keeps its digest and its name. */
export class LibraryDigest implements PieceTarget {
  readonly #sha256 = createHash('sha256');
  readonly #head = Buffer.alloc(headBytes);
  #bytes = 0;

  piece(bytes: Uint8Array, start: number, end: number): void {
    this.#sha256.update(bytes.subarray(start, end));
    if (this.#bytes < headBytes)
      this.#head.set(bytes.subarray(start, Math.min(end, start + headBytes - this.#bytes)), this.#bytes);
    this.#bytes += end - start;
  }

  end(): FunctionLibrary {
    const head = this.#head.toString('utf8', 0, Math.min(this.#bytes, headBytes));
    const [line = ''] = head.split('\n', 1);
    return {
      engine: /^#!\s*(\S+)/.exec(line)?.[1] ?? '',
      name: /\sname=(\S+)/.exec(line)?.[1] ?? '',
      sha256: this.#sha256.digest('hex'),
      bytes: this.#bytes,
    };
  }
}
