import { HeadObjectCommand, type HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import type { Encryption, StoreChecksum, StoredObject } from '../repository.ts';
import type { S3Store } from './store.ts';
import { isNotFound } from './store-failure.ts';

/** Asks the store what it has under a name; undefined when nothing. */
export async function head(store: S3Store, key: string, signal?: AbortSignal): Promise<StoredObject | undefined> {
  const request = new HeadObjectCommand({ ...store.object(key), ChecksumMode: 'ENABLED' });
  const answer = await store.told(
    `asking for ${key}`,
    () =>
      store.client.send(request, { abortSignal: signal }).catch((error) => {
        if (isNotFound(error)) return undefined;
        throw error;
      }),
    signal,
  );
  return (
    answer && {
      key,
      sizeBytes: answer.ContentLength ?? 0,
      encryption: encryptionOf(answer),
      checksum: checksumOf(answer),
      etag: answer.ETag,
      versionId: answer.VersionId,
    }
  );
}

function encryptionOf({ ServerSideEncryption, SSEKMSKeyId }: HeadObjectCommandOutput): Encryption {
  switch (ServerSideEncryption) {
    case 'aws:kms':
    case 'AES256':
      return { sse: ServerSideEncryption, kmsKeyId: SSEKMSKeyId };
    // Two layers of the same key's encryption: more than was asked for.
    case 'aws:kms:dsse':
      return { sse: 'aws:kms', kmsKeyId: SSEKMSKeyId };
    default:
      return { sse: 'none' };
  }
}

/** Older stores leave out the type: a composite value ends in the number of its parts. */
function checksumOf({ ChecksumCRC32, ChecksumType }: HeadObjectCommandOutput): StoreChecksum | undefined {
  if (!ChecksumCRC32) return undefined;
  const type = ChecksumType ?? (ChecksumCRC32.includes('-') ? 'COMPOSITE' : 'FULL_OBJECT');
  return { algorithm: 'CRC32', value: ChecksumCRC32, type };
}
