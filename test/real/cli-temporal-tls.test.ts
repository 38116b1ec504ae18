import { readFileSync } from 'node:fs';
import http2, { type Http2SecureServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { connectClient, connectWorker, temporalAddress } from '../../workers/temporal-connection.ts';
import { makeCertificates, missingCertificates } from '../support/certificates.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const missing = missingCertificates();
const { address, namespace } = inject('temporal');

/** The suite's real Temporal behind TLS, as in a cloud: who comes without the right certificate is turned away. */
interface TlsFront {
  readonly address: string;
  /** The `authorization` of every request. */
  readonly authorizations: (string | undefined)[];
  stop(): void;
}

describe.skipIf(missing)(`Temporal behind TLS with a private authority${missing ? ` (${missing})` : ''}`, () => {
  let folder: TemporaryFolder;
  let front: TlsFront;
  const path = (name: string) => ({ path: join(folder.path, name) });
  const certificates = () => ({
    serverCACert: path('ca.pem'),
    clientCert: path('agent.pem'),
    clientKey: path('agent.key'),
  });

  beforeAll(async () => {
    folder = await temporaryFolder('temporal-tls');
    await makeCertificates(folder.path);
    front = await startTlsFront(folder.path);
  });
  afterAll(async () => {
    front?.stop();
    await folder?.remove();
  });
  afterEach(() => {
    for (const name of ['TEST_TEMPORAL_KEY', 'TEMPORAL_API_KEY', 'TEMPORAL_ADDRESS']) delete process.env[name];
  });

  test('commands and workers show the configured certificate and API key, and reach it', async () => {
    process.env.TEST_TEMPORAL_KEY = 'a-key-of-this-test';
    const apiKey = { env: 'TEST_TEMPORAL_KEY', at: 'rewind.yaml:3:5: temporal.apiKey' };
    const settings = { address: front.address, namespace, apiKey, tls: certificates() };
    const client = await connectClient(settings);
    expect((await client.workflowService.describeNamespace({ namespace })).namespaceInfo?.name).toBe(namespace);
    await client.connection.close();
    const { connection } = await connectWorker(settings);
    await connection.workflowService.describeNamespace({ namespace });
    await connection.close();
    expect(new Set(front.authorizations)).toEqual(new Set(['Bearer a-key-of-this-test']));
  });

  test.each([
    ['without a client certificate', () => ({ serverCACert: path('ca.pem') })],
    ['without the authority', () => ({ clientCert: path('agent.pem'), clientKey: path('agent.key') })],
    ['without TLS', () => ({ disabled: true })],
  ])('%s it is not reached, and that is said', async (_, tls) => {
    await expect(connectClient({ address: front.address, namespace, tls: tls() })).rejects.toMatchObject({
      code: 'TEMPORAL_UNREACHABLE',
      message: expect.stringContaining(front.address),
    });
  });

  test('a certificate or a key that is not there is named before anything is tried', async () => {
    const tls = { ...certificates(), clientKey: path('no-such.key') };
    await expect(connectClient({ address: front.address, namespace, tls })).rejects.toMatchObject({
      code: 'SECRET_MISSING',
      message: expect.stringContaining('no-such.key'),
    });
    const apiKey = { env: 'TEST_TEMPORAL_KEY', at: 'rewind.yaml:3:5: temporal.apiKey' };
    await expect(connectClient({ address: front.address, namespace, apiKey })).rejects.toMatchObject({
      code: 'SECRET_MISSING',
      message: expect.stringContaining('rewind.yaml:3:5: temporal.apiKey'),
    });
  });

  test('what the environment holds for another Temporal is not for the embedded one, and is for any other', async () => {
    process.env.TEMPORAL_API_KEY = 'a-key-for-elsewhere';
    process.env.TEMPORAL_ADDRESS = front.address;
    const client = await connectClient({ address, namespace, embedded: true });
    await client.workflowService.describeNamespace({ namespace });
    await client.connection.close();
    expect(front.authorizations).not.toContain('Bearer a-key-for-elsewhere');
    expect(temporalAddress({})).toEqual({ address: front.address, namespace: 'default' });
    const byEnvironment = await connectClient({ namespace, tls: certificates() });
    await byEnvironment.connection.close();
    expect(front.authorizations).toContain('Bearer a-key-for-elsewhere');
  });
});

async function startTlsFront(folder: string): Promise<TlsFront> {
  const pem = (name: string) => readFileSync(join(folder, name));
  const authorizations: (string | undefined)[] = [];
  const behind = http2.connect(`http://${address}`);
  const server: Http2SecureServer = http2.createSecureServer({
    ca: pem('ca.pem'),
    cert: pem('server.pem'),
    key: pem('server.key'),
    requestCert: true,
    rejectUnauthorized: true,
  });
  const sessions = new Set<http2.ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined);
  });
  server.on('sessionError', () => undefined);
  server.on('stream', (stream, headers) => {
    authorizations.push(headers.authorization);
    const { ':scheme': _scheme, ':authority': _authority, ...passed } = headers;
    const request = behind.request({ ...passed, ':authority': address });
    let trailers = {};
    request.on('trailers', (received) => {
      trailers = received;
    });
    request.on('response', (response, flags) => {
      const { ':status': status, ...rest } = response;
      const ends = (flags & http2.constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      stream.respond({ ':status': status, ...rest }, ends ? { endStream: true } : { waitForTrailers: true });
      if (!ends) request.pipe(stream);
    });
    stream.on('wantTrailers', () => stream.sendTrailers(trailers));
    stream.on('error', () => request.close());
    request.on('error', () => stream.close());
    stream.pipe(request);
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    authorizations,
    stop: () => {
      for (const session of sessions) session.destroy();
      server.close();
      behind.close();
    },
  };
}
