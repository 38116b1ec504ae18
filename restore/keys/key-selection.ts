import { createReadStream } from 'node:fs';
import { ByteStrings } from './byte-strings.ts';
import { globMatches } from './glob.ts';

/** Which of the dump's keys are put. What is absent excludes nothing; of what is there all has to hold. */
export interface KeySelection {
  /** A pattern over the key's bytes, as KEYS takes it. */
  readonly match?: string;
  readonly db?: number;
  /** A local file: one key name a line, as bytes; empty lines and a carriage return at a line's end do not count. */
  readonly keyFile?: string;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;

/** Answers for each key whether it is selected. */
export class KeySelector {
  readonly #pattern: Buffer | undefined;
  readonly #db: number | undefined;
  readonly #names: ByteStrings | undefined;
  readonly everything: boolean;

  private constructor(selection: KeySelection, names: ByteStrings | undefined) {
    this.#pattern = selection.match === undefined ? undefined : Buffer.from(selection.match);
    this.#db = selection.db;
    this.#names = names;
    this.everything = this.#pattern === undefined && this.#db === undefined && names === undefined;
  }

  static async open(selection: KeySelection): Promise<KeySelector> {
    return new KeySelector(selection, selection.keyFile === undefined ? undefined : await readNames(selection.keyFile));
  }

  has(db: number, bytes: Uint8Array, start: number, end: number): boolean {
    if (this.everything) return true;
    if (this.#db !== undefined && this.#db !== db) return false;
    if (this.#names !== undefined && !this.#names.has(bytes, start, end)) return false;
    return this.#pattern === undefined || globMatches(this.#pattern, bytes, start, end);
  }
}

async function readNames(path: string): Promise<ByteStrings> {
  const names = new ByteStrings();
  let rest: Buffer = Buffer.alloc(0);
  const line = (bytes: Buffer) => {
    const end = bytes.at(-1) === carriageReturn ? bytes.length - 1 : bytes.length;
    if (end > 0) names.add(bytes, 0, end);
  };
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let from = 0;
    for (let at = bytes.indexOf(lineFeed); at >= 0; at = bytes.indexOf(lineFeed, from)) {
      line(bytes.subarray(from, at));
      from = at + 1;
    }
    rest = Buffer.from(bytes.subarray(from));
  }
  line(rest);
  return names;
}
