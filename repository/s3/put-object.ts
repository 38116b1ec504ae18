import { PutObjectCommand } from '@aws-sdk/client-s3';
import { ContentChecksum } from './content-checksum.ts';
import { crc32, crc32Base64 } from './crc32.ts';
import type { S3Store } from './store.ts';
import { isTaken } from './store-failure.ts';
import { withUnsignedBody } from './unsigned-body.ts';

/** To sign less costs nobody anything. */
const mostSigned = 256 * 1024;

/**
 * Stores a small object by one request, unless its name is taken. Other errors are the SDK's.
 *
 * @returns the checksum of what was sent
 */
export async function putObject(
  store: S3Store,
  key: string,
  bytes: Uint8Array,
  signal?: AbortSignal,
): Promise<ContentChecksum | 'taken'> {
  const crc = crc32(bytes);
  const checksum = new ContentChecksum();
  checksum.add(crc, bytes.length);
  const request = new PutObjectCommand({
    ...store.object(key),
    ...store.asked,
    Body: bytes,
    ContentLength: bytes.length,
    ChecksumCRC32: crc32Base64(crc),
    IfNoneMatch: '*',
  });
  try {
    await store.client.send(bytes.length > mostSigned ? withUnsignedBody(request) : request, { abortSignal: signal });
    return checksum;
  } catch (error) {
    if (isTaken(error)) return 'taken';
    throw error;
  }
}
