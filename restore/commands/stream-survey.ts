import type { GroupInfo, StreamId, StreamInfo, ValueSink } from '../../rdb/value-sink.ts';
import { IdList } from './id-list.ts';
import { isBefore, isSame, noId } from './stream-id.ts';

/** Ids of one stream that are held, 16 bytes each, to see which pending entries are still in it. */
const mostIds = 4_000_000;
/** Pending entries that are no longer in their stream and are remembered, of all streams together. */
const mostDeleted = 1_000_000;

/** Looks for what of a stream commands have trouble with. */
export class StreamSurvey implements ValueSink {
  readonly found = { keys: 0, withoutFields: 0, consumers: 0, unowned: 0, deletedPending: 0, tooLong: 0 };
  readonly #ids = new IdList();
  #lastId: StreamId = noId;
  #deleted: IdList | undefined;
  #withoutFields = false;
  #cut = false;
  #pending = 0;
  #owned = 0;
  #total = 0;

  begin(): void {
    this.found.keys++;
    this.#ids.clear();
    this.#deleted = undefined;
    this.#withoutFields = false;
    this.#cut = false;
    this.#pending = 0;
    this.#owned = 0;
  }

  /** The ids that are pending and no longer in the stream; undefined for the usual stream. */
  end(): IdList | undefined {
    if (this.#withoutFields) this.found.withoutFields++;
    if (this.#cut && this.#pending > 0) this.found.tooLong++;
    this.found.unowned += Math.max(0, this.#pending - this.#owned);
    this.found.deletedPending += this.#deleted?.length ?? 0;
    return this.#deleted;
  }

  streamEntry(id: StreamId, fields: number): void {
    if (fields === 0) this.#withoutFields = true;
    if (this.#ids.length < mostIds) this.#ids.push(id);
    else this.#cut = true;
  }

  streamInfo({ lastId }: StreamInfo): void {
    this.#lastId = lastId;
  }

  groupInfo(_info: GroupInfo): void {}

  pending(id: StreamId): void {
    this.#pending++;
    if (this.#cut || this.#ids.has(id) || isSame(id, noId) || isBefore(this.#lastId, id)) return;
    if (this.#total >= mostDeleted) {
      this.#cut = true;
      return;
    }
    this.#deleted ??= new IdList(4);
    const before = this.#deleted.length;
    this.#deleted.insert(id);
    this.#total += this.#deleted.length - before;
  }

  consumer(): void {
    this.found.consumers++;
  }

  owned(): void {
    this.#owned++;
  }

  piece(): void {}
  score(): void {}
  fieldExpiry(): void {}
  pairEnd(): void {}
  group(): void {}
  consumerInfo(): void {}
}
