import { createHash } from 'node:crypto';
import { RewindError } from '../../errors/rewind-error.ts';
import { decodeSegmentHeader, headerBytes, type SegmentHeader } from '../segment.ts';

/** What a stream of segments consists of, in its order: a header, its bytes in pieces, and its end once they are proven. */
export type SegmentPart =
  | { readonly part: 'header'; readonly header: SegmentHeader; readonly digest: string; readonly line: Uint8Array }
  | { readonly part: 'bytes'; readonly bytes: Uint8Array }
  | { readonly part: 'end'; readonly header: SegmentHeader; readonly digest: string };

/**
 * Takes apart segments that come one behind the other (one alone, or an hour's), in the memory of a header and a chunk,
 * whatever they claim. Bytes are handed on before they are proven: nothing may be made of them before `end` has come.
 *
 * @param key what the object is called in errors
 * @throws ARCHIVE_SEGMENT_DAMAGED
 */
export async function* segmentParts(chunks: AsyncIterable<Uint8Array>, key: string): AsyncGenerator<SegmentPart> {
  const source = chunks[Symbol.asyncIterator]();
  let ahead: Buffer = Buffer.alloc(0);
  const more = async (): Promise<boolean> => {
    const next = await source.next();
    if (next.done) return false;
    const chunk = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    ahead = ahead.length === 0 ? chunk : Buffer.concat([ahead, chunk]);
    return true;
  };
  try {
    for (;;) {
      while (ahead.length === 0) if (!(await more())) return;
      while (ahead.indexOf(0x0a) < 0 && ahead.length <= headerBytes) if (!(await more())) break;
      const { header, digest, bodyAt } = decodeSegmentHeader(ahead, key);
      // With its line feed: whoever copies segments copies them as they are.
      yield { part: 'header', header, digest, line: ahead.subarray(0, bodyAt) };
      ahead = ahead.subarray(bodyAt);
      const hash = createHash('sha256');
      let left = header.end - header.start;
      while (left > 0) {
        if (ahead.length === 0 && !(await more())) {
          throw damaged(key, `it ends ${left} bytes too early`);
        }
        const bytes = ahead.subarray(0, left);
        ahead = ahead.subarray(bytes.length);
        left -= bytes.length;
        hash.update(bytes);
        if (bytes.length > 0) yield { part: 'bytes', bytes };
      }
      if (hash.digest('hex') !== header.sha256) {
        throw damaged(key, 'its bytes are not those that were written (SHA-256)');
      }
      yield { part: 'end', header, digest };
    }
  } finally {
    await source.return?.();
  }
}

function damaged(key: string, what: string): RewindError {
  return new RewindError('ARCHIVE_SEGMENT_DAMAGED', `${key} cannot be read: ${what}.`);
}
