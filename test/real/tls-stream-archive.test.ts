import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { freePort } from '../../process/free-port.ts';
import { connectRedis } from '../../redis/connection.ts';
import { archiveContext, chainedBytes, latestDigest, readArchive, until } from '../support/archive.ts';
import { makeCertificates, missingCertificates } from '../support/certificates.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { startRedis } from '../support/servers.ts';
import { stream } from '../support/stream.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test.skipIf(missingCertificates())(
  'over TLS with a private CA and a client certificate: a stream is archived, its link cut meanwhile; without the certificate nothing is',
  async () => {
    await using folder = await temporaryFolder('tls-stream');
    await makeCertificates(folder.path);
    const at = (name: string) => join(folder.path, name);
    const tlsPort = await freePort();
    const server = await startRedis({
      config: {
        'tls-port': String(tlsPort),
        'tls-cert-file': at('server.pem'),
        'tls-key-file': at('server.key'),
        'tls-ca-cert-file': at('ca.pem'),
        'tls-auth-clients': 'yes',
        'repl-diskless-sync-delay': '0',
        'repl-backlog-size': '16mb',
        ...debugAllowed(),
      },
    });
    const url = `rediss://127.0.0.1:${tlsPort}`;
    const [ca, cert, key] = await Promise.all(
      ['ca.pem', 'agent.pem', 'agent.key'].map((name) => readFile(at(name), 'utf8')),
    );
    const target = { url, tls: { ca: ca!, cert: cert!, key: key! } };
    const folders = { home: at('home'), repository: at('store') };
    const context = { ...(await archiveContext({ url }, folders)), target };
    const archive = () => readArchive(context.repository);
    const refused = stream({ ...context, home: at('another-home'), target: { url, tls: { ca: ca! } } });
    const following = stream(context);
    const redis = await connectRedis(target);
    try {
      await until('it says that nobody answers', async () => refused.figures()?.state === 'waiting');
      await refused.stop();
      await until('the base', async () => (await archive()).bases.length > 0);
      // Longer than a record of TLS, and than what is read at once.
      for (let i = 0; i < 40; i++) {
        await redis.multi().incr('counter').set(`key:${i}`, Buffer.alloc(100_000, i)).exec();
        if (i === 20) await redis.call('CLIENT', 'KILL', 'TYPE', 'replica');
      }
      await redis.set('after', '1');
      await until('all is shipped', async () =>
        (await archive()).segments.some(({ body }) => Buffer.from(body).includes('after')),
      );
      const held = await archive();
      expect(held.timelines).toHaveLength(1);
      expect(held.events).toEqual([]);
      chainedBytes(held, 1);
      expect(await latestDigest(context)).toBe(await dataDigest(server));
    } finally {
      redis.disconnect();
      await Promise.all([refused, following].map((each) => each.stop().catch(() => undefined)));
      await server.stop();
    }
  },
);
