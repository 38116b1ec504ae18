import { truncate, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { archiveContext, chainedBytes, latestDigest, readArchive, until } from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { startRedis } from '../support/servers.ts';
import { cannotMount, smallDisk } from '../support/small-disk.ts';
import { stream } from '../support/stream.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const reason = cannotMount();

test.skipIf(reason).each([
  ['Redis still has what came meanwhile: nothing is missing', '1mb', 0],
  ['Redis has it no more: a gap, and a base behind it', '16kb', 1],
])(
  `the disk of who archives a stream is full, and is said to be; with room again the next writes are archived. %s${reason ? ` (skipped: ${reason})` : ''}`,
  async (_, backlog, gaps) => {
    await using folder = await temporaryFolder('stream-disk');
    const disk = await smallDisk({ size: '4m' });
    const config = { 'repl-diskless-sync-delay': '0', 'repl-backlog-size': backlog, ...debugAllowed() };
    const server = await startRedis({ config });
    const redis = await connectRedis({ url: server.url });
    const folders = { home: disk.path, repository: join(folder.path, 'store') };
    const context = await archiveContext(server, folders);
    const archive = () => readArchive(context.repository);
    const shipped = (text: string) =>
      until(`${text} is shipped`, async () =>
        (await archive()).segments.some(({ body }) => Buffer.from(body).includes(text)),
      );
    const following = stream(context);
    try {
      await until('the base', async () => (await archive()).bases.length > 0);
      await redis.set('before', '1');
      await shipped('before');
      const filler = join(disk.path, 'filler');
      await writeFile(filler, Buffer.alloc(8 * 1024 * 1024)).catch(() => undefined);
      await truncate(filler, 3_800_000);
      for (let i = 0; i < 3; i++) await redis.set(`large:${i}`, Buffer.alloc(200_000, i));
      await until('it is said', async () => /ENOSPC|part only/.test(following.figures()?.note ?? ''));
      await until('no link is there', async () => (await redis.info('replication')).includes('connected_slaves:0'));
      await redis.set('while it is full', '1');
      await unlink(filler);
      await until(
        'it goes on',
        async () => (await archive()).events.length === gaps && following.figures()?.note === undefined,
      );
      await until('the link is back', async () => (await redis.info('replication')).includes('connected_slaves:1'));
      await redis.set('after', '1');
      await shipped('after');
      const held = await archive();
      expect(held.events.map(({ kind }) => kind)).toEqual(Array.from({ length: gaps }, () => 'gap'));
      expect(held.timelines).toHaveLength(1);
      chainedBytes(held, 1);
      expect(await latestDigest(context)).toBe(await dataDigest(server));
    } finally {
      redis.disconnect();
      await following.stop().catch(() => undefined);
      await server.stop();
      await disk.remove();
    }
  },
);
