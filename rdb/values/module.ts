import type { Cursor } from '../cursor.ts';
import { moduleOpcode } from '../opcodes.ts';
import type { StringReader } from '../string-reader.ts';
import type { ValueSink } from '../value-sink.ts';
import type { ValueReader } from './value-reader.ts';

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** The name of a module's type: nine characters of six bits above ten bits of its encoding's version. */
export function moduleTypeName(id: bigint): string {
  let name = '';
  for (let shift = 58n; shift >= 10n; shift -= 6n) name += alphabet[Number((id >> shift) & 63n)];
  return name;
}

/**
 * The value of a module's type (type 7): the type's id, then pieces, each said by an opcode before it, until an end
 * mark. Its length can be found without the module, its meaning not.
 */
export class ModuleValue implements ValueReader {
  readonly #strings: StringReader;
  #id: bigint | null = null;
  #inString = false;

  constructor(strings: StringReader) {
    this.#strings = strings;
  }

  /** The id of the type that was read last. */
  get id(): bigint {
    return this.#id ?? 0n;
  }

  begin(_sink: ValueSink | null): void {
    this.#id = null;
    this.#inString = false;
  }

  run(c: Cursor): void {
    if (this.#id === null) {
      this.#id = c.length64();
      c.commit();
    }
    this.pieces(c);
  }

  /** Skips pieces up to and with the end mark. */
  pieces(c: Cursor): void {
    for (;;) {
      if (!this.#inString) {
        const code = c.length();
        if (code === moduleOpcode.eof) break;
        if (code === moduleOpcode.sint || code === moduleOpcode.uint) c.length64();
        else if (code === moduleOpcode.float) this.#skip(c, 4);
        else if (code === moduleOpcode.double) this.#skip(c, 8);
        else if (code === moduleOpcode.string) this.#inString = true;
        else throw c.corrupt(`an unknown piece ${code} in a module's value`);
        c.commit();
      }
      if (this.#inString) {
        this.#strings.read(c, null);
        this.#inString = false;
      }
    }
    c.commit();
  }

  #skip(c: Cursor, bytes: number): void {
    c.need(bytes);
    c.pos += bytes;
  }
}
