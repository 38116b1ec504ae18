import type { Repository } from '../repository/repository.ts';
import { decodeSegmentHeader, headerBytes } from './segment.ts';

/**
 * The header of a segment in the repository, by its first bytes alone.
 *
 * @param at where it begins in the object: an hour's has one behind the other
 * @throws ARCHIVE_SEGMENT_DAMAGED, OBJECT_MISSING
 */
export async function readStoredHeader(
  repository: Repository,
  key: string,
  at = 0,
  signal?: AbortSignal,
): Promise<ReturnType<typeof decodeSegmentHeader>> {
  const chunks: Buffer[] = [];
  let length = 0;
  const stream = await repository.read(key, { start: at, end: at + headerBytes + 1, signal });
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > headerBytes || chunk.includes(0x0a)) break;
  }
  stream.destroy();
  return decodeSegmentHeader(Buffer.concat(chunks), key);
}
