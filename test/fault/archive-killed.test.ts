import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { Random } from '../../scripts/bench/random.ts';
import {
  archiveContext,
  chainedBytes,
  follow,
  followable,
  latestDigest,
  readArchive,
  rewritten,
  until,
} from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const child = fileURLToPath(new URL('../support/follow-child.ts', import.meta.url));
const rounds = 6;

test('an agent killed -9 again and again, wherever it is, with writes and rewrites going on: one chain, nothing missing', async () => {
  await using folder = await temporaryFolder('archive-killed');
  const server = await startRedis({ config: { ...followable, ...debugAllowed() } });
  const redis = await connectRedis({ url: server.url });
  const folders = { home: join(folder.path, 'home'), repository: join(folder.path, 'store') };
  const random = new Random(7);
  let writing = true;
  const writer = (async () => {
    for (let i = 0; writing; i++) {
      await redis
        .multi()
        .incr('counter')
        .append('text', `\r\n*1\r\n\0${i}`)
        .set(`key:${i % 500}`, Buffer.alloc(i % 900, i))
        .exec();
      if (i % 20 === 0) await sleep(2);
    }
  })();
  try {
    for (let round = 0; round < rounds; round++) {
      const agent = fork(child, [server.url, folders.home, folders.repository], { stdio: 'inherit' });
      const errors: string[] = [];
      let following = false;
      agent.on('message', ({ state, error }: { state?: string; error?: string }) => {
        if (error) errors.push(error);
        following ||= state === 'following';
      });
      // Every other one is killed on its way in.
      if (round % 2 === 0) {
        await until('it follows', async () => following);
        if (round % 4 === 0) await rewritten(redis);
      }
      await sleep(random.below(round % 2 === 0 ? 120 : 900));
      agent.kill('SIGKILL');
      if (agent.exitCode === null && agent.signalCode === null) await once(agent, 'exit');
      expect(errors).toEqual([]);
    }
    writing = false;
    await writer;
    const context = await archiveContext(server, folders);
    const last = follow(context);
    await redis.set('the end', '1');
    await until('all is shipped', async () =>
      (await readArchive(context.repository)).segments.some(({ body }) => Buffer.from(body).includes('the end')),
    );
    await last.stop();
    const held = await readArchive(context.repository);
    expect(held.timelines.length).toBe(1);
    expect(held.events).toEqual([]);
    chainedBytes(held, 1);
    expect(await latestDigest(context)).toBe(await dataDigest(server));
  } finally {
    writing = false;
    await writer.catch(() => undefined);
    redis.disconnect();
    await server.stop();
  }
});
