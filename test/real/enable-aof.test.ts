import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { enableAof, enabledInWords } from '../../redis/enable-aof.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { startRedis } from '../support/servers.ts';

const io = { signal: new AbortController().signal, onProgress: () => undefined };

test('the file is switched on at a running server, holds all that was in memory only, and a second time changes nothing', async () => {
  const server = await startRedis({ config: debugAllowed() });
  const redis = await connectRedis({ url: server.url });
  try {
    for (let i = 0; i < 500; i++) await redis.set(`key:${i}`, `\r\n${i}\0`);
    const enabled = await enableAof(redis, io);
    expect(enabled).toEqual({ switchedOn: true, stamps: 'switched-on', kept: 'no-file' });
    expect(enabledInWords(enabled)).toMatch(/NOT KEPT.*--appendonly yes/);
    await redis.set('after', '1');
    const digest = await dataDigest(server);
    expect(await enableAof(redis, io)).toEqual({ switchedOn: false, stamps: 'were-on', kept: 'no-file' });
    redis.disconnect();
    await server.restart({ config: { appendonly: 'yes' } });
    expect(await dataDigest(server)).toBe(digest);
  } finally {
    redis.disconnect();
    await server.stop();
  }
});

test('a rewrite that fails leaves the file off, as it was', async () => {
  const server = await startRedis();
  const redis = await connectRedis({ url: server.url });
  try {
    await redis.set('key', '1');
    await redis.config('SET', 'aof-timestamp-enabled', 'yes');
    // A file where the folder of the parts would be.
    await writeFile(join(server.dir, 'appendonlydir'), 'in the way');
    await expect(enableAof(redis, io)).rejects.toMatchObject({ code: 'AOF_NOT_ENABLED' });
    expect((await redis.config('GET', 'appendonly')) as string[]).toEqual(['appendonly', 'no']);
    expect(await redis.get('key')).toBe('1');
    expect(await readFile(join(server.dir, 'appendonlydir'), 'utf8')).toBe('in the way');
  } finally {
    redis.disconnect();
    await server.stop();
  }
});
