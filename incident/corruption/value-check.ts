import type { DecodedType } from '../../rdb/types.ts';
import type { StreamId, StreamInfo, ValueSink } from '../../rdb/value-sink.ts';
import { hashOf } from './key-set.ts';

/** Entries of one group that are compared; of more nothing is said. */
const mostPending = 1_000_000;

/** The same of the elements of one set, hash or sorted set that are compared with each other. */
const mostElements = 1_000_000;
/** SET_INTSET: its integers stand in their order. */
const intsetCode = 11;

/**
 * Takes a value and looks for what the reader of the format does not look for and a server ends over or refuses: a list,
 * set, hash or sorted set of nothing, an element that stands in it twice, an intset out of order, a stream that counts its
 * entries wrongly, an entry that a consumer owns and its group does not know.
 */
export class ValueCheck implements ValueSink {
  #type: DecodedType = 'string';
  #inOrder = false;
  #strings = 0;
  #fault: string | undefined;
  /** What comes next is no element of its own: a hash field's value. */
  #isValue = false;
  /** A string in several pieces is not compared. */
  #inPieces = false;
  #last = Number.NEGATIVE_INFINITY;
  #entries = 0;
  readonly #elements = new Set<number>();
  readonly #pending = new Set<string>();

  /** @param typeCode the type byte in the dump */
  begin(type: DecodedType, typeCode: number): void {
    this.#type = type;
    this.#inOrder = typeCode === intsetCode;
    this.#strings = 0;
    this.#fault = undefined;
    this.#isValue = false;
    this.#inPieces = false;
    this.#last = Number.NEGATIVE_INFINITY;
    this.#entries = 0;
    if (this.#elements.size > 0) this.#elements.clear();
    if (this.#pending.size > 0) this.#pending.clear();
  }

  /** What is wrong with the value that was taken, or undefined. */
  get fault(): string | undefined {
    if (this.#fault !== undefined || this.#type === 'stream' || this.#type === 'string') return this.#fault;
    return this.#strings === 0 ? `a ${this.#type} of no elements` : undefined;
  }

  piece(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    if (!last) {
      this.#inPieces = true;
      return;
    }
    this.#strings++;
    const whole = !this.#inPieces;
    this.#inPieces = false;
    const type = this.#type;
    if (type === 'hash') {
      const isValue = this.#isValue;
      this.#isValue = !isValue;
      if (isValue) return;
    } else if (type !== 'set' && type !== 'zset') return;
    if (this.#inOrder) this.#compareOrder(bytes, start, end);
    else if (whole) this.#compare(bytes, start, end);
  }

  score(): void {}
  fieldExpiry(): void {}

  pairEnd(): void {
    this.#isValue = false;
  }

  streamEntry(): void {
    this.#entries++;
  }

  streamInfo({ length }: StreamInfo): void {
    if (length !== this.#entries) this.#fault = 'a stream that counts its entries wrongly';
  }

  group(): void {
    this.#pending.clear();
  }

  groupInfo(): void {}

  pending({ ms, seq }: StreamId): void {
    if (this.#pending.size >= mostPending) return;
    const id = `${ms}-${seq}`;
    if (this.#pending.has(id)) this.#fault = 'an entry of a stream that is pending twice';
    this.#pending.add(id);
  }

  consumer(): void {}
  consumerInfo(): void {}

  owned({ ms, seq }: StreamId): void {
    if (this.#pending.size >= mostPending || this.#pending.has(`${ms}-${seq}`)) return;
    this.#fault = "an entry that a stream's consumer owns and its group does not know";
  }

  #compare(bytes: Uint8Array, start: number, end: number): void {
    if (this.#elements.size >= mostElements) return;
    const before = this.#elements.size;
    this.#elements.add(hashOf(0, bytes, start, end));
    if (this.#elements.size === before) this.#fault = `an element that a ${this.#type} has twice`;
  }

  /** Beyond 2^53 two neighbours may look equal. */
  #compareOrder(bytes: Uint8Array, start: number, end: number): void {
    const value = Number(String.fromCharCode(...bytes.subarray(start, end)));
    if (value < this.#last || (value === this.#last && Number.isSafeInteger(value))) {
      this.#fault = 'integers of a set that are out of order';
    }
    this.#last = value;
  }
}
