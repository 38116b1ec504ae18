import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { expect, inject, test } from 'vitest';
import { startS3FaultProxy } from '../support/s3-fault-proxy.ts';
import { openTestRepository, testPlace } from '../support/s3-repository.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const dump = 'hourly/orders/20261123T205000Z-1f3a9c04/dump.rdb';

test('a part whose bytes were altered on the way is refused by the store, although its body is not signed', async () => {
  await using folder = await temporaryFolder('part-altered');
  const minio = inject('minio');
  const proxy = await startS3FaultProxy(minio.endpoint);
  const place = { ...testPlace(minio), endpoint: proxy.endpoint };
  const repository = await openTestRepository(place, { encryption: { sse: 'aws:kms', kmsKeyId: minio.kmsKeyId } });
  try {
    const bytes = randomBytes(40 * 1024 * 1024);
    const source = { path: join(folder.path, 'dump') };
    await writeFile(source.path, bytes);
    const signed: unknown[] = [];
    proxy.fail('UploadPart', async (exchange) => {
      signed.push(exchange.request.headers['x-amz-content-sha256']);
      await exchange.answer(await exchange.forward(flipsFirstBit()));
    });
    await expect(repository.putFile(dump, source, { sizeBytes: bytes.length })).rejects.toMatchObject({
      code: 'UPLOAD_DAMAGED',
    });
    expect(new Set(signed)).toEqual(new Set(['UNSIGNED-PAYLOAD']));
    expect(await repository.stat(dump)).toBeUndefined();

    proxy.heal();
    await repository.putFile(dump, source, { sizeBytes: bytes.length });
    expect(await repository.stat(dump)).toMatchObject({ sizeBytes: bytes.length });
  } finally {
    repository.close();
    await proxy.stop();
  }
});

function flipsFirstBit(): Transform {
  let first = true;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const altered = first ? Buffer.from(chunk) : chunk;
      if (first) altered[0]! ^= 1;
      first = false;
      done(null, altered);
    },
  });
}
