import type { DecodedType } from '../../rdb/types.ts';
import type { ConsumerInfo, GroupInfo, StreamId, StreamInfo, ValueSink } from '../../rdb/value-sink.ts';
import { walkRdb } from '../../rdb/walk.ts';

/** A key as a test wants to see it: texts as latin1, streams as what was told in its order. */
export interface ReadKey {
  readonly db: number;
  readonly key: string;
  readonly type: string;
  readonly expireAtMs?: number;
  readonly value?: unknown;
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

/** Collects a value as plain data. */
class PlainValue implements ValueSink {
  readonly texts: string[] = [];
  readonly scores: number[] = [];
  readonly expiries: (number | null)[] = [];
  readonly told: unknown[] = [];
  #piece = '';
  #expiry: number | null = null;

  piece(bytes: Uint8Array, start: number, end: number, last: boolean): void {
    this.#piece += Buffer.from(bytes.subarray(start, end)).toString('latin1');
    if (!last) return;
    this.texts.push(this.#piece);
    this.told.push(this.#piece);
    this.#piece = '';
  }
  score(score: number): void {
    this.scores.push(score);
  }
  fieldExpiry(atMs: number): void {
    this.#expiry = atMs;
  }
  pairEnd(): void {
    this.expiries.push(this.#expiry);
    this.#expiry = null;
  }
  streamEntry(id: StreamId, fields: number): void {
    this.told.push({ entry: idText(id), fields });
  }
  streamInfo({ length, lastId, maxDeletedId, entriesAdded }: StreamInfo): void {
    const info = { length, lastId: idText(lastId) };
    this.told.push(maxDeletedId ? { ...info, maxDeletedId: idText(maxDeletedId), entriesAdded } : info);
  }
  group(): void {
    this.told.push('group');
  }
  groupInfo({ lastId, entriesRead }: GroupInfo): void {
    this.told.push({ lastId: idText(lastId), ...(entriesRead === undefined ? {} : { entriesRead }) });
  }
  pending(id: StreamId, deliveredAtMs: number, deliveries: number): void {
    this.told.push({ pending: idText(id), deliveredAtMs, deliveries });
  }
  consumer(): void {
    this.told.push('consumer');
  }
  consumerInfo(info: ConsumerInfo): void {
    this.told.push(info);
  }
  owned(id: StreamId): void {
    this.told.push({ owned: idText(id) });
  }

  as(type: DecodedType): unknown {
    if (type === 'string') return this.texts[0];
    if (type === 'zset') return this.texts.map((member, i) => [member, this.scores[i]]);
    if (type === 'stream') return this.told;
    if (type !== 'hash') return this.texts;
    return this.expiries.map((expiry, i) => {
      const pair = this.texts.slice(2 * i, 2 * i + 2);
      return expiry === null ? pair : [...pair, expiry];
    });
  }
}

const idText = ({ ms, seq }: StreamId) => `${ms}-${seq}`;

/** Walks a file that arrives in chunks of `chunkBytes` and decodes every value. */
export async function readAll(file: Uint8Array, chunkBytes = file.length): Promise<ReadKey[]> {
  const keys: ReadKey[] = [];
  let value = new PlainValue();
  let key = '';
  await walkRdb(inChunks(file, chunkBytes), {
    key: (entry) => {
      key = entry.copyKey().toString('latin1');
      value = new PlainValue();
      return entry.type === 'module' || entry.type === 'array' ? null : value;
    },
    keyEnd: ({ db, type, expireAtMs, start, valueStart, end }) => {
      const decoded = type === 'module' || type === 'array' ? {} : { value: value.as(type) };
      const expiry = expireAtMs < 0 ? {} : { expireAtMs };
      keys.push({ db, key, type, ...expiry, ...decoded, start, valueStart, end });
    },
  });
  return keys;
}

export async function* inChunks(file: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.length; at += chunkBytes) yield file.subarray(at, at + chunkBytes);
}
