import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openRepository } from '../../repository/open.ts';
import type { Encryption, Repository } from '../../repository/repository.ts';
import { EncryptionCheck } from '../../repository/s3/encryption-check.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

// What AWS answers for an alias cannot be had from a server of one's own: the answers here are written down from its API.
const first = 'arn:aws:kms:eu-central-1:111122223333:key/1f0c5a7e-0000-4000-8000-000000000001';
const second = 'arn:aws:kms:eu-central-1:111122223333:key/1f0c5a7e-0000-4000-8000-000000000002';
const alias = 'alias/redis-backups';

let folder: TemporaryFolder;
let pins: Repository;
beforeEach(async () => {
  folder = await temporaryFolder('pins');
  pins = await openRepository({ url: pathToFileURL(folder.path).href });
});
afterEach(() => folder.remove());

test('an alias is pinned to the key that it stood for at the first upload; another one later is an error', async () => {
  await checking({ sse: 'aws:kms', kmsKeyId: alias }, first);
  await checking({ sse: 'aws:kms', kmsKeyId: alias }, first);
  await expect(checking({ sse: 'aws:kms', kmsKeyId: alias }, second)).rejects.toMatchObject({
    code: 'ENCRYPTION_KEY_CHANGED',
    message: `hourly/a: ${alias} stood for ${first} at the first upload and now stands for ${second}.`,
  });
});

test('another alias, also by its ARN, has a pin of its own', async () => {
  await checking({ sse: 'aws:kms', kmsKeyId: alias }, first);
  await checking({ sse: 'aws:kms', kmsKeyId: 'arn:aws:kms:eu-central-1:111122223333:alias/other' }, second);
});

test('of two that pin at once, with other keys, one is told', async () => {
  const both = [first, second].map((key) => checking({ sse: 'aws:kms', kmsKeyId: alias }, key));
  const states = (await Promise.allSettled(both)).map(({ status }) => status).sort();
  expect(states).toEqual(['fulfilled', 'rejected']);
});

test('a damaged pin is an error, not another key', async () => {
  await checking({ sse: 'aws:kms', kmsKeyId: alias }, first);
  const [pin] = await Array.fromAsync(pins.list('encryption/'));
  await pins.remove(pin!.key);
  await pins.putSmall(pin!.key, Buffer.from('{}'));
  await expect(checking({ sse: 'aws:kms', kmsKeyId: alias }, first)).rejects.toMatchObject({
    code: 'MANIFEST_INVALID',
  });
});

test.each<[string, string, string]>([
  ['its ARN', first, first],
  ['its id', '1f0c5a7e-0000-4000-8000-000000000001', first],
  ['a name, as MinIO answers it', 'redis-backups', 'arn:aws:kms:redis-backups'],
  ['an alias, echoed', alias, alias],
])('a key that was asked for by %s is recognised, without a pin', async (_, asked, answered) => {
  await checking({ sse: 'aws:kms', kmsKeyId: asked }, answered);
  expect(await Array.fromAsync(pins.list(''))).toEqual([]);
});

test('a key of the same ending in another account is not the same key', async () => {
  const asked = { sse: 'aws:kms', kmsKeyId: first } as const;
  await expect(checking(asked, first.replace('111122223333', '999922223333'))).rejects.toMatchObject({
    code: 'ENCRYPTION_IGNORED',
  });
});

test('a store that does not say which key it used is not believed', async () => {
  await expect(checking({ sse: 'aws:kms', kmsKeyId: alias }, undefined)).rejects.toMatchObject({
    code: 'ENCRYPTION_IGNORED',
    message: expect.stringContaining('does not say which one'),
  });
});

test('more encryption than was asked for is fine, less is not', async () => {
  await expect(answered({ sse: 'none' }, { sse: 'AES256' })).resolves.toBeUndefined();
  await expect(answered({ sse: 'aws:kms' }, { sse: 'aws:kms', kmsKeyId: first })).resolves.toBeUndefined();
  await expect(answered({ sse: 'aws:kms' }, { sse: 'AES256' })).rejects.toMatchObject({ code: 'ENCRYPTION_IGNORED' });
  await expect(answered({ sse: 'AES256' }, { sse: 'none' })).rejects.toMatchObject({ code: 'ENCRYPTION_IGNORED' });
});

/** A check in a new process, so to say: nothing is remembered but the pins. */
function answered(asked: Encryption, encryption: Encryption): Promise<void> {
  const check = new EncryptionCheck(asked, {
    readSmall: (key, maxBytes) => pins.readSmall(key, maxBytes),
    create: (key, bytes) =>
      pins.putSmall(key, bytes).then(
        () => true,
        () => false,
      ),
  });
  return check.assert({ key: 'hourly/a', sizeBytes: 1, encryption });
}

const checking = (asked: Encryption, kmsKeyId: string | undefined) => answered(asked, { sse: 'aws:kms', kmsKeyId });
