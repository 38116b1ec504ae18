import { open } from 'node:fs/promises';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { ContentDigest, type StreamDetail } from '../../rdb/content-digest.ts';
import type { RdbEntry } from '../../rdb/entry.ts';
import { headerBytes, parseHeader } from '../../rdb/magic.ts';
import { isDecoded } from '../../rdb/types.ts';
import type { ValueSink } from '../../rdb/value-sink.ts';
import type { RdbVisitor } from '../../rdb/visitor.ts';
import { walkRdb } from '../../rdb/walk.ts';
import type { SideKey } from './partitions.ts';

/** How much a dump of this version carries of a stream: the types came with RDB 10 (Redis 7.0) and 11 (7.2). */
export async function streamDetailOfDump(path: string): Promise<StreamDetail> {
  const file = await open(path).catch((cause) => {
    throw new RewindError('RDB_READ_FAILED', `the dump cannot be read: ${cause.message}`, { cause });
  });
  try {
    const bytes = new Uint8Array(headerBytes);
    await file.read(bytes, 0, headerBytes, 0);
    const version = parseHeader(bytes, 0)?.version ?? 0;
    if (version >= 11) return 3;
    return version >= 10 ? 2 : 1;
  } finally {
    await file.close();
  }
}

/**
 * Gives every key of a dump that had not expired when it was written.
 *
 * @returns when it was written, Unix ms by the server's clock; 0 where it does not say
 */
export async function readDumpSide(
  path: string,
  streamDetail: StreamDetail,
  onKey: (key: SideKey) => void,
  io: StepIO,
): Promise<{ atMs: number }> {
  const side = new DumpSide(streamDetail, onKey);
  await walkRdb({ path }, side, {
    signal: io.signal,
    onProgress: (done, total) => io.onProgress({ phase: 'read', done, total, unit: 'bytes' }),
  });
  return { atMs: side.atMs };
}

class DumpSide implements RdbVisitor {
  readonly #streamDetail: StreamDetail;
  readonly #onKey: (key: SideKey) => void;
  #digest: ContentDigest;
  #key: Buffer | undefined;
  atMs = 0;

  constructor(streamDetail: StreamDetail, onKey: (key: SideKey) => void) {
    this.#streamDetail = streamDetail;
    this.#onKey = onKey;
    this.#digest = new ContentDigest({ streamDetail, consumerTimes: false });
  }

  aux(name: string, value: string): void {
    if (name !== 'ctime') return;
    this.atMs = Number(value) * 1000;
    // Fields that had expired by then are no content any more.
    this.#digest = new ContentDigest({ streamDetail: this.#streamDetail, consumerTimes: false, aliveAt: this.atMs });
  }

  key(entry: RdbEntry): ValueSink | null {
    this.#key = entry.expireAtMs !== -1 && entry.expireAtMs < this.atMs ? undefined : entry.copyKey();
    if (this.#key === undefined || !isDecoded(entry.type)) return null;
    this.#digest.begin(entry.type);
    return this.#digest;
  }

  keyEnd({ db, type, expireAtMs }: RdbEntry): void {
    if (this.#key === undefined) return;
    const digest = isDecoded(type) ? this.#digest.end(expireAtMs) : undefined;
    this.#onKey({ db, key: this.#key, expireAtMs, digest });
  }
}
