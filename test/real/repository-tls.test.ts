import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type S3FaultProxy, startS3FaultProxy } from '../support/s3-fault-proxy.ts';
import { openTestRepository, type S3TestPlace, testPlace } from '../support/s3-repository.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const dump = 'hourly/orders/20261123T205000Z-1f3a9c04/dump.rdb';
const sizeBytes = 20 * 1024 * 1024;
const missing = spawnSync('openssl', ['version']).status === 0 ? undefined : 'no openssl to make certificates with';

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
        cert: pem('store.pem'),
        key: pem('store.key'),
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

/** An authority, the store's certificate for 127.0.0.1, and an agent's. */
async function makeCertificates(folder: string): Promise<void> {
  const openssl = (...args: string[]) => {
    const { status, stderr } = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  };
  await writeFile(join(folder, 'store.ext'), 'subjectAltName=IP:127.0.0.1\n');
  await writeFile(join(folder, 'agent.ext'), 'extendedKeyUsage=clientAuth\n');
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-subj',
    '/CN=private authority',
    '-days',
    '2',
  );
  for (const name of ['store', 'agent']) {
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`];
    openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...signed);
  }
}
