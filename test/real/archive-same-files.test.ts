import { appendFile, readFile, rename, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type RedisTarget, withRedis } from '../../redis/connection.ts';
import { archiveContext, follow, followable, readArchive, rewritten, until } from '../support/archive.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

/** What an agent sees that runs beside another server which has its files under the same path. */
async function seesFilesOf(server: RedisServer, other: RedisServer): Promise<void> {
  const files = join(server.dir, 'appendonlydir');
  await rename(files, join(server.dir, 'elsewhere'));
  await symlink(join(other.dir, 'appendonlydir'), files);
}

const set = (server: RedisTarget, key: string) => withRedis(server, (redis) => redis.set(key, 'x'.repeat(1_000)));

test.each([
  ['both have data', true],
  ['both are new, and only the one that answers is written to', false],
])('an agent beside another server than the one that answers archives nothing: %s', async (_, filled) => {
  await using folder = await temporaryFolder('archive-beside-another');
  const servers = await Promise.all([startRedis({ config: followable }), startRedis({ config: followable })]);
  const [server, other] = servers;
  try {
    if (filled) {
      await set(server, 'ours');
      await set(other, 'theirs');
      await set(other, 'theirs, too');
      await withRedis(other, rewritten);
    }
    await seesFilesOf(server, other);
    const context = await archiveContext(server, {
      home: join(folder.path, 'home'),
      repository: join(folder.path, 'store'),
    });
    const following = follow(context);
    let ended = false;
    void following.ended.catch(() => undefined).finally(() => (ended = true));
    await until('it has ended by itself', async () => {
      await set(server, 'ours, later');
      return ended;
    });
    await expect(following.ended).rejects.toMatchObject({
      code: 'ARCHIVE_NOT_POSSIBLE',
      message: expect.stringContaining('are not those of the server that answers'),
    });
    const { segments, bases } = await readArchive(context.repository);
    expect(segments).toEqual([]);
    if (filled) expect(bases).toEqual([]);
  } finally {
    for (const each of servers) await each.stop();
  }
});

test('files that the server has left while they were followed are not gone on with', async () => {
  await using folder = await temporaryFolder('archive-left');
  const servers = await Promise.all([startRedis({ config: followable }), startRedis({ config: followable })]);
  const [server, other] = servers;
  try {
    await set(other, 'theirs');
    const context = await archiveContext(server, {
      home: join(folder.path, 'home'),
      repository: join(folder.path, 'store'),
    });
    const following = follow(context);
    let ended = false;
    void following.ended.catch(() => undefined).finally(() => (ended = true));
    await until('what is written is shipped', async () => {
      await set(server, 'ours');
      return (following.figures()?.segments ?? 0) > 2;
    });
    await seesFilesOf(server, other);
    await until('it has ended by itself', async () => {
      await set(server, 'ours, later');
      return ended;
    });
    await expect(following.ended).rejects.toMatchObject({ code: 'ARCHIVE_FILES_LEFT', retryable: true });
    const { segments } = await readArchive(context.repository);
    expect(segments.some(({ body }) => Buffer.from(body).includes('theirs'))).toBe(false);
  } finally {
    for (const each of servers) await each.stop();
  }
});

test('a server whose start has cut off a torn end counts too much: it is followed from its next write on', async () => {
  await using folder = await temporaryFolder('archive-torn-start');
  const dir = join(folder.path, 'redis');
  let server = await startRedis({ dir, config: followable });
  try {
    await set(server, 'before');
    await server.kill9();
    const incr = join(dir, 'appendonlydir', 'appendonly.aof.1.incr.aof');
    await appendFile(incr, '*3\r\n$3\r\nSET\r\n$4\r\ntorn\r\n$100\r\nnot all of');
    const torn = (await readFile(incr)).length;
    server = await startRedis({ dir, config: followable });
    await until('the start has cut it off', async () => (await readFile(incr)).length < torn);
    const context = await archiveContext(server, {
      home: join(folder.path, 'home'),
      repository: join(folder.path, 'store'),
    });
    const following = follow(context);
    await until('it waits for a write', async () => /shows when it writes/.test(following.figures()?.note ?? ''));
    await until('it follows', async () => {
      await set(server, 'after');
      return following.figures()?.state === 'following';
    });
    await until('it is shipped', async () =>
      (await readArchive(context.repository)).segments.some(({ body }) => Buffer.from(body).includes('after')),
    );
    await following.stop();
  } finally {
    await server.stop();
  }
});
