import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import type { S3Store } from './store.ts';

/** Removes an object; in a bucket with versions it is hidden, and the bucket's rules remove it later. */
export async function removeObject(store: S3Store, key: string): Promise<void> {
  await store.told(`removing ${key}`, () => store.client.send(new DeleteObjectCommand(store.object(key))));
}
