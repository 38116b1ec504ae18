import type { Cursor } from './cursor.ts';
import { decimalText, writeDecimal } from './decimal.ts';
import type { Elements } from './elements.ts';
import type { ValueSink } from './value-sink.ts';

const flag = { deleted: 1, sameFields: 2 } as const;

/** Field names that a node may keep for its entries to share; a server's default node is 4 KiB in all. */
const largestMasterFields = 64 * 1024 * 1024;

type Place =
  | 'count'
  | 'deleted'
  | 'field-count'
  | 'master-field'
  | 'master-end'
  | 'flags'
  | 'ms'
  | 'seq'
  | 'own-field-count'
  | 'field'
  | 'value'
  | 'entry-end';

/**
 * The elements of a stream's listpack (t_stream.c): a master entry (entries, deleted entries, number of fields, their
 * names, 0), then for each entry its flags, its id as distances from the node's, its field names unless they are the
 * master's, its values, and how many elements that was. Deleted entries are still there, marked.
 */
export class StreamNode implements Elements {
  /** The node's id, which the entries' ids are relative to. */
  ms = 0n;
  seq = 0n;
  #sink!: ValueSink;
  #place: Place = 'count';
  #expected = 0;
  #entries = 0;
  #masterFields = 0;
  #fields = 0;
  #at = 0;
  #flags = 0;
  #msDelta = 0n;
  #seqDelta = 0n;
  readonly #names: number[] = [];
  #nameBytes = new Uint8Array(1024);
  #namesEnd = 0;

  begin(sink: ValueSink): void {
    this.#sink = sink;
  }

  /** A new node of the same stream begins. */
  beginNode(ms: bigint, seq: bigint): void {
    this.ms = ms;
    this.seq = seq;
    this.#place = 'count';
    this.#entries = 0;
    this.#names.length = 0;
    this.#namesEnd = 0;
  }

  int(c: Cursor, value: number | bigint): void {
    switch (this.#place) {
      case 'count':
        this.#expected = this.#counter(c, value);
        this.#place = 'deleted';
        break;
      case 'deleted':
        this.#expected += this.#counter(c, value);
        this.#place = 'field-count';
        break;
      case 'field-count':
        this.#masterFields = this.#counter(c, value);
        this.#place = this.#masterFields === 0 ? 'master-end' : 'master-field';
        break;
      case 'master-end':
        if (value !== 0) throw c.corrupt("a stream's master entry does not end where it should");
        this.#place = 'flags';
        break;
      case 'flags':
        this.#flags = this.#counter(c, value);
        this.#place = 'ms';
        break;
      case 'ms':
        this.#msDelta = BigInt(value);
        this.#place = 'seq';
        break;
      case 'seq':
        this.#seqDelta = BigInt(value);
        if ((this.#flags & flag.sameFields) !== 0) this.#beginFields(this.#masterFields);
        else this.#place = 'own-field-count';
        break;
      case 'own-field-count':
        this.#beginFields(this.#counter(c, value));
        break;
      case 'entry-end':
        this.#endEntry(c, value);
        break;
      default:
        this.text(c, decimalText, writeDecimal(value), decimalText.length, true);
    }
  }

  text(c: Cursor, bytes: Uint8Array, start: number, end: number, last: boolean): void {
    switch (this.#place) {
      case 'master-field':
        this.#keepName(c, bytes, start, end);
        if (!last) return;
        this.#names.push(this.#namesEnd);
        if (this.#names.length === this.#masterFields) this.#place = 'master-end';
        return;
      case 'field':
        if (!this.#deleted) this.#sink.piece(bytes, start, end, last);
        if (last) this.#place = 'value';
        return;
      case 'value':
        if (!this.#deleted) this.#sink.piece(bytes, start, end, last);
        if (last) this.#nextField();
        return;
      default:
        throw c.corrupt("text where a stream's entry has a number");
    }
  }

  end(c: Cursor): void {
    if (this.#place !== 'flags') throw c.corrupt('a stream node ends inside of an entry');
    if (this.#entries !== this.#expected) {
      throw c.corrupt(`a stream node claims ${this.#expected} entries and holds ${this.#entries}`);
    }
  }

  get #deleted(): boolean {
    return (this.#flags & flag.deleted) !== 0;
  }

  #beginFields(fields: number): void {
    if (!this.#deleted) {
      const ms = BigInt.asUintN(64, this.ms + this.#msDelta);
      this.#sink.streamEntry({ ms, seq: BigInt.asUintN(64, this.seq + this.#seqDelta) }, fields);
    }
    this.#fields = fields;
    this.#at = -1;
    this.#nextField();
  }

  /** Goes on to the next field of the entry; where the names are the master's, gives the name at once. */
  #nextField(): void {
    this.#at++;
    if (this.#at === this.#fields) {
      this.#place = 'entry-end';
    } else if ((this.#flags & flag.sameFields) === 0) {
      this.#place = 'field';
    } else {
      const start = this.#at === 0 ? 0 : this.#names[this.#at - 1]!;
      if (!this.#deleted) this.#sink.piece(this.#nameBytes, start, this.#names[this.#at]!, true);
      this.#place = 'value';
    }
  }

  #endEntry(c: Cursor, value: number | bigint): void {
    const elements = (this.#flags & flag.sameFields) !== 0 ? this.#fields + 3 : 2 * this.#fields + 4;
    if (value !== elements) throw c.corrupt("a stream's entry has not as many elements as it claims");
    this.#entries++;
    this.#place = 'flags';
  }

  #keepName(c: Cursor, bytes: Uint8Array, start: number, end: number): void {
    const total = this.#namesEnd + end - start;
    if (total > largestMasterFields) {
      throw c.error(
        'RDB_STRING_TOO_LONG',
        `field names of a stream at byte ${c.offset} are longer than ${largestMasterFields} bytes`,
      );
    }
    if (total > this.#nameBytes.length) {
      const grown = new Uint8Array(total * 2);
      grown.set(this.#nameBytes.subarray(0, this.#namesEnd));
      this.#nameBytes = grown;
    }
    this.#nameBytes.set(bytes.subarray(start, end), this.#namesEnd);
    this.#namesEnd = total;
  }

  #counter(c: Cursor, value: number | bigint): number {
    if (typeof value === 'bigint' || value < 0) throw c.corrupt(`a stream's entry counts ${value}`);
    return value;
  }
}
