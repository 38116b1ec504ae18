import { once } from 'node:events';
import { mkdir, readdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HeldFiles } from '../../archive/follow/held-files.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('of a file that can be linked but not opened no link stays', async () => {
  await using folder = await temporaryFolder('held-files');
  const [dir, links] = [join(folder.path, 'aof'), join(folder.path, 'held')];
  await mkdir(dir);
  await mkdir(links);
  // A socket can be linked by anybody, root too, and opened by nobody.
  const socket = createServer().listen(join(dir, 'it'));
  await once(socket, 'listening');
  const held = await HeldFiles.open(links);
  expect(await held.hold(dir, { name: 'it', seq: 1, type: 'incr' })).toBeUndefined();
  expect(await readdir(links)).toEqual([]);
  await held.close();
  socket.close();
});
