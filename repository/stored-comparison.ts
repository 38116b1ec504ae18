import { RewindError } from '../errors/rewind-error.ts';
import type { Encryption, StoredObject } from './repository.ts';

type Expected = Pick<StoredObject, 'sizeBytes' | 'checksum'>;

/**
 * Compares what a store has with what was stored.
 *
 * @throws OBJECT_MISSING, OBJECT_DIFFERS
 */
export function assertSameBytes(key: string, found: StoredObject | undefined, expected: Expected): StoredObject {
  if (!found) throw new RewindError('OBJECT_MISSING', `${key} was stored and is not there any more.`);
  if (found.sizeBytes !== expected.sizeBytes) {
    throw new RewindError('OBJECT_DIFFERS', `${key} has ${found.sizeBytes} bytes; ${expected.sizeBytes} were stored.`);
  }
  const [now, then] = [found.checksum, expected.checksum];
  // A copy may keep its checksum in the other form; the bytes are compared when they are read.
  if (now && then && now.type === then.type && now.value !== then.value) {
    throw new RewindError('OBJECT_DIFFERS', `${key} has ${now.algorithm} ${now.value}; ${then.value} was stored.`);
  }
  return found;
}

/** As `assertSameBytes`, and encrypted as it was then. @throws ENCRYPTION_IGNORED */
export function assertAsStored(
  key: string,
  found: StoredObject | undefined,
  expected: Expected & Pick<StoredObject, 'encryption'>,
): StoredObject {
  const same = assertSameBytes(key, found, expected);
  const [now, then] = [same.encryption, expected.encryption];
  if (now.sse !== then.sse || now.kmsKeyId !== then.kmsKeyId) {
    throw new RewindError('ENCRYPTION_IGNORED', `${key} was stored with ${inWords(then)} and now has ${inWords(now)}.`);
  }
  return same;
}

/** For messages: "aws:kms under arn:aws:kms:…". */
export function inWords({ sse, kmsKeyId }: Encryption): string {
  if (sse === 'none') return 'no encryption';
  return kmsKeyId ? `${sse} under ${kmsKeyId}` : sse;
}
