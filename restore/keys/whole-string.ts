import { DiscardValue } from '../../rdb/discard-value.ts';
import type { ValueSink } from '../../rdb/value-sink.ts';

type Take = (bytes: Uint8Array, start: number, end: number) => void;

/** Takes the value of a string that comes in one piece; of a longer one nothing. */
export class WholeString extends DiscardValue implements ValueSink {
  readonly #take: Take;
  #inPieces = false;

  constructor(take: Take) {
    super();
    this.#take = take;
  }

  override piece(...[bytes, start, end, last]: Parameters<ValueSink['piece']>): void {
    if (last && !this.#inPieces) this.#take(bytes, start, end);
    this.#inPieces = !last;
  }
}
