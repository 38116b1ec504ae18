import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { processIdentity } from '../../process/process-identity.ts';
import { takeStateLock } from '../../process/state-lock.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
beforeEach(async () => {
  folder = await temporaryFolder('lock');
});
afterEach(() => folder.remove());

const tickets = () => readdir(join(folder.path, 'lock'));

async function leaveTicket(name: string): Promise<void> {
  await mkdir(join(folder.path, 'lock'), { recursive: true });
  await writeFile(join(folder.path, 'lock', name), '');
}

test('a second one is refused and told the process id of the first', async () => {
  const first = await takeStateLock(folder.path);
  await expect(takeStateLock(folder.path)).rejects.toMatchObject({
    code: 'STATE_LOCKED',
    message: expect.stringContaining(`process ${process.pid} works in ${folder.path} since 20`),
  });
  first.release();
  (await takeStateLock(folder.path)).release();
  expect(await tickets()).toEqual([]);
});

/** Another process that takes the lock and keeps it. */
function contender() {
  const script = `
    import { takeStateLock } from ${JSON.stringify(fileURLToPath(new URL('../../process/state-lock.ts', import.meta.url)))};
    await takeStateLock(${JSON.stringify(folder.path)}).then(() => process.stdout.write('taken'), (e) => process.stdout.write(e.code));
    setInterval(() => {}, 1000);`;
  return spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

test('the lock of a process that was killed -9 does not block', async () => {
  const other = contender();
  await once(other.stdout, 'data');
  await expect(takeStateLock(folder.path)).rejects.toMatchObject({ code: 'STATE_LOCKED', details: { pid: other.pid } });
  other.kill('SIGKILL');
  await once(other, 'exit');
  const mine = await takeStateLock(folder.path);
  expect(await tickets()).toHaveLength(1);
  mine.release();
});

test('the lock of a dead process whose pid was given away again does not block', async () => {
  const anotherLife = (processIdentity(process.ppid) as string).replace(/\d+$/, '1');
  await leaveTicket(`${process.ppid}.${anotherLife}.0badcafe`);
  (await takeStateLock(folder.path)).release();
  expect(await tickets()).toEqual([]);
});

test('a ticket that nobody can read does not block', async () => {
  await leaveTicket('not a ticket');
  (await takeStateLock(folder.path)).release();
});

test('of four that start at once exactly one gets in', async () => {
  const all = Array.from({ length: 4 }, contender);
  const said = await Promise.all(all.map(async (each) => String((await once(each.stdout, 'data'))[0])));
  expect(said.sort()).toEqual(['STATE_LOCKED', 'STATE_LOCKED', 'STATE_LOCKED', 'taken']);
  for (const each of all) each.kill('SIGKILL');
});
