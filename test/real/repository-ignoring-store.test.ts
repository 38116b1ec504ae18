import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTestRepository, testPlace, uploadsOf } from '../support/s3-repository.ts';
import { missingVersitygw, startVersitygw, type Versitygw } from '../support/versitygw.ts';

const MIB = 1024 * 1024;
const dump = 'hourly/orders/20261123T205000Z-1f3a9c04/dump.rdb';
const missing = missingVersitygw();

describe.skipIf(missing)(`a store that accepts encryption and ignores it${missing ? ` (${missing})` : ''}`, () => {
  let store: Versitygw;
  beforeAll(async () => {
    store = await startVersitygw();
  });
  afterAll(() => store?.stop());

  test.each(['aws:kms', 'AES256'] as const)(
    '%s: the upload fails by name, and nothing unencrypted is left',
    async (sse) => {
      const place = testPlace(store);
      const repository = await openTestRepository(place, { encryption: { sse } });
      const ignored = {
        code: 'ENCRYPTION_IGNORED',
        message: expect.stringContaining(`${sse} was asked for and the store kept it with no encryption`),
        retryable: false,
      };
      await expect(repository.putSmall('hourly/a', Buffer.from('x'))).rejects.toMatchObject(ignored);
      await expect(repository.putStream(dump, large())).rejects.toMatchObject(ignored);
      expect(await Array.fromAsync(repository.list(''))).toEqual([]);
      expect(await uploadsOf(place, dump)).toEqual([]);
      repository.close();
    },
  );

  test('aws:kms is the default: a store without it has to be told in so many words', async () => {
    const repository = await openTestRepository(testPlace(store));
    await expect(repository.putSmall('hourly/a', Buffer.from('x'))).rejects.toMatchObject({
      code: 'ENCRYPTION_IGNORED',
    });
    repository.close();
    const told = await openTestRepository(testPlace(store), { encryption: { sse: 'none' } });
    await expect(told.putSmall('hourly/a', Buffer.from('x'))).resolves.toMatchObject({ encryption: { sse: 'none' } });
    await expect(told.putStream(dump, large())).resolves.toMatchObject({ sizeBytes: 20 * MIB });
    told.close();
  });
});

async function* large() {
  for (let i = 0; i < 20; i += 1) yield randomBytes(MIB);
}
