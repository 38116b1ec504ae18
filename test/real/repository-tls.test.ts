import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { makeCertificates, missingCertificates } from '../support/certificates.ts';
import { type S3FaultProxy, startS3FaultProxy } from '../support/s3-fault-proxy.ts';
import { openTestRepository, type S3TestPlace, testPlace } from '../support/s3-repository.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const dump = 'hourly/orders/20261123T205000Z-1f3a9c04/dump.rdb';
const sizeBytes = 20 * 1024 * 1024;
const missing = missingCertificates();

describe.skipIf(missing)(
  `a store with a private authority, which asks for a client certificate${missing ? ` (${missing})` : ''}`,
  () => {
    let folder: TemporaryFolder;
    let proxy: S3FaultProxy;
    let place: S3TestPlace;
    const file = (name: string) => join(folder.path, name);

    beforeAll(async () => {
      folder = await temporaryFolder('tls');
      await makeCertificates(folder.path);
      const tls = {
        ca: pem('ca.pem'),
        cert: pem('server.pem'),
        key: pem('server.key'),
        requestCert: true,
        rejectUnauthorized: true,
      };
      proxy = await startS3FaultProxy(inject('minio').endpoint, tls);
      place = { ...testPlace(inject('minio')), endpoint: proxy.endpoint };
    });
    afterAll(async () => {
      await proxy?.stop();
      await folder?.remove();
    });
    const pem = (name: string) => readFileSync(file(name));

    test('every request shows the certificate and trusts the authority: small objects, parts and downloads', async () => {
      const tls = { ca: file('ca.pem'), cert: file('agent.pem'), key: file('agent.key') };
      const repository = await openTestRepository(place, { encryption: { sse: 'none' }, tls });
      await writeFile(file('dump'), randomBytes(sizeBytes));
      await repository.putSmall('hourly/a', Buffer.from('x'));
      await repository.putFile(dump, { path: file('dump') }, { sizeBytes });
      const read = Buffer.concat(await Array.fromAsync(await repository.read(dump)));
      expect(read.equals(pem('dump'))).toBe(true);
      expect(proxy.count('UploadPart')).toBe(2);
      repository.close();
    });

    test('a certificate that cannot be read is named', async () => {
      const tls = { ca: file('no-such.pem') };
      await expect(openTestRepository(place, { tls })).rejects.toMatchObject({
        code: 'STORE_CERTIFICATE_REFUSED',
        message: expect.stringContaining(tls.ca),
      });
    });

    test.each([
      ['an authority that is not trusted', () => ({ cert: file('agent.pem'), key: file('agent.key') })],
      ['no client certificate', () => ({ ca: file('ca.pem') })],
    ])('%s is said so', async (_, tls) => {
      const repository = await openTestRepository(place, { encryption: { sse: 'none' }, tls: tls() });
      await expect(repository.putSmall('hourly/b', Buffer.from('x'))).rejects.toMatchObject({
        code: 'STORE_CERTIFICATE_REFUSED',
        retryable: false,
      });
      repository.close();
    });
  },
);
