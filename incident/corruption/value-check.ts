import type { DecodedType } from '../../rdb/types.ts';
import type { StreamId, ValueSink } from '../../rdb/value-sink.ts';

/** Entries of one group that are compared; of more nothing is said. */
const mostPending = 1_000_000;

/**
 * Takes a value and looks for what the reader of the format does not look for and a server ends over: a list, set, hash
 * or sorted set of nothing, an entry that a consumer owns and its group does not know.
 */
export class ValueCheck implements ValueSink {
  #strings = 0;
  #streamFault: string | undefined;
  readonly #pending = new Set<string>();

  begin(): void {
    this.#strings = 0;
    this.#streamFault = undefined;
    this.#pending.clear();
  }

  /** What is wrong with the value that was taken, or undefined. */
  fault(type: DecodedType): string | undefined {
    if (type === 'stream') return this.#streamFault;
    return type !== 'string' && this.#strings === 0 ? `a ${type} of no elements` : undefined;
  }

  piece(_bytes: Uint8Array, _start: number, _end: number, last: boolean): void {
    if (last) this.#strings++;
  }

  score(): void {}
  fieldExpiry(): void {}
  pairEnd(): void {}
  streamEntry(): void {}
  streamInfo(): void {}

  group(): void {
    this.#pending.clear();
  }

  groupInfo(): void {}

  pending({ ms, seq }: StreamId): void {
    if (this.#pending.size >= mostPending) return;
    const id = `${ms}-${seq}`;
    if (this.#pending.has(id)) this.#streamFault = 'an entry of a stream that is pending twice';
    this.#pending.add(id);
  }

  consumer(): void {}
  consumerInfo(): void {}

  owned({ ms, seq }: StreamId): void {
    if (this.#pending.size >= mostPending || this.#pending.has(`${ms}-${seq}`)) return;
    this.#streamFault = "an entry that a stream's consumer owns and its group does not know";
  }
}
