import { RewindError } from '../../errors/rewind-error.ts';
import type { StoredObject } from '../repository.ts';
import type { ContentChecksum } from './content-checksum.ts';
import type { EncryptionCheck } from './encryption-check.ts';
import { head } from './head.ts';
import { removeObject } from './remove-object.ts';
import type { S3Store } from './store.ts';

/**
 * Asks the store for what was just stored and compares it with what was sent: a 200 is not believed. What is not as
 * asked for is removed again, because it is ours and its name would be taken for the next attempt.
 *
 * @throws UPLOAD_DAMAGED, ENCRYPTION_IGNORED, ENCRYPTION_KEY_CHANGED
 */
export async function confirmUpload(
  store: S3Store,
  encryption: EncryptionCheck,
  key: string,
  sent: ContentChecksum,
): Promise<StoredObject> {
  const found = await head(store, key);
  if (!found) throw new RewindError('UPLOAD_DAMAGED', `The store accepted ${key} and does not have it.`);
  try {
    if (found.sizeBytes !== sent.bytes || (found.checksum && !sent.agreesWith(found.checksum))) {
      const answered = `${found.sizeBytes} bytes${found.checksum ? `, CRC32 ${found.checksum.value}` : ''}`;
      throw new RewindError(
        'UPLOAD_DAMAGED',
        `${sent.bytes} bytes, CRC32 ${sent.fullObject}, were sent as ${key}; the store has ${answered}.`,
      );
    }
    await encryption.assert(found);
    return found;
  } catch (error) {
    if (error instanceof RewindError && (error.code === 'UPLOAD_DAMAGED' || error.code.startsWith('ENCRYPTION_'))) {
      await removeObject(store, key).catch(() => undefined);
    }
    throw error;
  }
}
