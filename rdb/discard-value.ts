import type { ValueSink } from './value-sink.ts';

/** Takes a value and keeps nothing of it: for decoding that only looks for damage. */
export class DiscardValue implements ValueSink {
  piece(..._piece: Parameters<ValueSink['piece']>): void {}
  score(): void {}
  fieldExpiry(): void {}
  pairEnd(): void {}
  streamEntry(): void {}
  streamInfo(): void {}
  group(): void {}
  groupInfo(): void {}
  pending(): void {}
  consumer(): void {}
  consumerInfo(): void {}
  owned(): void {}
}
