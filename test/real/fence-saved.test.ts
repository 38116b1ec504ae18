import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { fenceWrites } from '../../fence/fence-writes.ts';
import { unfenceWrites } from '../../fence/unfence-writes.ts';
import { freePort } from '../../process/free-port.ts';
import { startLeashed } from '../../process/leash.ts';
import { connectRedis, withRedis } from '../../redis/connection.ts';
import { openRepository } from '../../repository/open.ts';
import { type Flavour, missingFlavour, redisBinary } from '../support/servers.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const undo: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** A server whose users are in the file that CONFIG REWRITE writes. */
async function serverWithConfigFile(flavour: Flavour) {
  const folder = await temporaryFolder('fence-saved');
  undo.push(() => folder.remove());
  const port = await freePort();
  const file = join(folder.path, 'redis.conf');
  const lines = [`port ${port}`, 'bind 127.0.0.1', `dir ${folder.path}`, 'save ""', 'user app on >secret ~* +@all'];
  await writeFile(file, `${lines.join('\n')}\n`);
  const start = async () => {
    const program = await startLeashed({
      name: flavour,
      command: redisBinary(flavour),
      args: [file],
      cwd: folder.path,
      logFile: join(folder.path, 'redis.log'),
    });
    undo.push(() => program.stop());
    await expect
      .poll(() => connectRedis(target).then((redis) => redis.disconnect()), { timeout: 30_000 })
      .toBeUndefined();
    return program;
  };
  const target = { url: `redis://127.0.0.1:${port}` };
  let program = await start();
  const home = join(folder.path, 'home');
  await mkdir(home);
  const repository = await openRepository({ url: pathToFileURL(join(folder.path, 'repository')).href });
  return {
    file,
    target,
    order: { repository, instance: 'orders', fenceId: 'one', home },
    io: { signal: new AbortController().signal, onProgress: () => undefined },
    aclList: () => withRedis(target, async (redis) => (await redis.call('ACL', 'LIST')) as string[]),
    restart: async () => {
      await program.stop({ keepFolders: true });
      program = await start();
    },
  };
}

describe.each<Flavour>(['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'])('%s', (flavour) => {
  const here = test.skipIf(missingFlavour(flavour));

  here(
    'CONFIG REWRITE during the fence, as a Sentinel does it: a restart after the undoing does not bring the fence back',
    async () => {
      const { file, target, order, io, aclList, restart } = await serverWithConfigFile(flavour);
      const before = await aclList();
      await fenceWrites(target, order, io);
      await withRedis(target, (redis) => redis.call('CONFIG', 'REWRITE'));
      expect(await readFile(file, 'latin1')).toMatch(/^user rewind-/m);
      expect((await unfenceWrites(target, order, io))?.notes.join()).toMatch(
        /CONFIG REWRITE wrote the users from before/,
      );
      expect(await aclList()).toEqual(before);
      await restart();
      // Redis to 7.0 writes this flag to every user that it reads from a file, fence or no fence.
      const unmarked = (lines: string[]) => lines.map((line) => line.replace(' sanitize-payload', ''));
      expect(unmarked(await aclList())).toEqual(unmarked(before));
    },
  );

  here('a configuration file that nobody rewrote stays as it is', async () => {
    const { file, target, order, io } = await serverWithConfigFile(flavour);
    const content = await readFile(file, 'latin1');
    await fenceWrites(target, order, io);
    expect(await unfenceWrites(target, order, io)).toMatchObject({ notes: [] });
    expect(await readFile(file, 'latin1')).toBe(content);
  });
});
