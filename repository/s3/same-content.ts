import { crc32 } from 'node:zlib';
import type { StoredObject } from '../repository.ts';
import { type Fill, withStreamReader } from '../source-reader.ts';
import { crc32Base64 } from './crc32.ts';
import { ResumingRead } from './resuming-read.ts';
import type { S3Store } from './store.ts';

const COMPARE_BYTES = 4 * 1024 * 1024;

/**
 * Whether an object that is there already holds the bytes that were to be stored: by the store's checksum over all
 * bytes, and where it keeps none, by reading it.
 */
export async function holdsSameBytes(
  store: S3Store,
  found: StoredObject,
  fill: Fill,
  signal?: AbortSignal,
): Promise<boolean> {
  return found.checksum?.type === 'FULL_OBJECT'
    ? (await checksumOf(fill, signal)) === `${found.sizeBytes} ${found.checksum.value}`
    : comparesEqual(store, found, fill, signal);
}

async function checksumOf(fill: Fill, signal?: AbortSignal): Promise<string> {
  const buffer = Buffer.allocUnsafeSlow(COMPARE_BYTES);
  let crc = 0;
  let bytes = 0;
  for (let filled = await fill(buffer); filled > 0; filled = await fill(buffer)) {
    signal?.throwIfAborted();
    crc = crc32(buffer.subarray(0, filled), crc);
    bytes += filled;
  }
  return `${bytes} ${crc32Base64(crc)}`;
}

/** Whether two objects have the same bytes now, by reading both: what a store says of one is of the bytes as they came. */
export async function readEqual(store: S3Store, one: StoredObject, other: StoredObject): Promise<boolean> {
  if (one.sizeBytes !== other.sizeBytes) return false;
  const reading = await ResumingRead.open(store, one.key, {});
  return withStreamReader(reading.chunks(), (fill) => comparesEqual(store, other, fill));
}

async function comparesEqual(store: S3Store, found: StoredObject, fill: Fill, signal?: AbortSignal): Promise<boolean> {
  const reading = await ResumingRead.open(store, found.key, { signal });
  let bytes = 0;
  for await (const chunk of reading.chunks()) {
    const here = Buffer.allocUnsafe(chunk.length);
    if ((await fill(here)) < chunk.length || !here.equals(chunk)) return false;
    bytes += chunk.length;
  }
  return bytes === found.sizeBytes && (await fill(Buffer.allocUnsafe(1))) === 0;
}
