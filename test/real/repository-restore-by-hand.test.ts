import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { startLeashed } from '../../process/leash.ts';
import { untilReady } from '../../process/until-ready.ts';
import { freePort } from '../support/free-port.ts';
import { redisBinary, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const page = readFileSync(new URL('../../docs/FORMAT.md', import.meta.url), 'utf8');

test('docs/FORMAT.md: what it says to type restores a dump without redis-rewind', async () => {
  await using folder = await temporaryFolder('by-hand');
  const source = await startRedis();
  const redis = new Redis(source.url);
  await redis.mset('a', '1', 'b', '2', 'c', '3');
  await redis.save();
  const dump = join(folder.path, 'dump.rdb');
  await copyFile(join(source.dir, 'dump.rdb'), dump);
  redis.disconnect();
  await source.stop();

  const [, typed = ''] = /```sh\n(sha256sum.*?)```/s.exec(page) ?? [];
  // A port of its own is all that is added.
  const port = await freePort();
  const script = join(folder.path, 'by-hand.sh');
  await writeFile(script, typed.trimEnd().replace(/^redis-server (.*)$/m, `exec "$REDIS" $1 --port ${port}`));
  const logFile = join(folder.path, 'log');
  const server = await startLeashed({
    name: 'redis by hand',
    command: 'sh',
    args: [script],
    cwd: folder.path,
    env: { ...process.env, REDIS: redisBinary() },
    logFile,
  });
  const restored = new Redis({ port, host: '127.0.0.1', lazyConnect: true, retryStrategy: () => 100 });
  restored.on('error', () => undefined); // refused until it listens
  try {
    await untilReady(server, async () => (await restored.ping()) === 'PONG', { timeoutMs: 20_000, logFile });
    expect(await restored.mget('a', 'b', 'c')).toEqual(['1', '2', '3']);
    const sum = createHash('sha256').update(readFileSync(dump)).digest('hex');
    expect(readFileSync(logFile, 'utf8')).toContain(`${sum}  dump.rdb`);
  } finally {
    restored.disconnect();
    await server.stop();
  }
});
