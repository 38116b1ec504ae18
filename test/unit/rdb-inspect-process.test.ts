import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { inspectRdb } from '../../rdb/inspect.ts';
import { bytes, length, RdbFile, text } from '../support/rdb-file.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const head = new RdbFile(11).selectDb(0).raw([0], text('key')).end('none').subarray(0, -1);

/** The processes that read dumps for `parent`, by /proc. */
async function readersOf(parent: number): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const [stat, command] = await Promise.all(
      ['stat', 'cmdline'].map((file) => readFile(`/proc/${pid}/${file}`, 'latin1').catch(() => '')),
    );
    const ppid = Number(stat!.slice(stat!.lastIndexOf(')') + 2).split(' ')[1]);
    if (ppid === parent && command!.includes('inspect-child')) found.push(pid);
  }
  return found;
}

const isThere = (pid: number) =>
  readFile(`/proc/${pid}/stat`, 'latin1').then(
    (stat) => !/\) Z /.test(stat),
    () => false,
  );

async function* endless(signal: AbortSignal) {
  yield bytes(head, length(2 ** 40));
  while (!signal.aborted) {
    yield Buffer.alloc(1000);
    await sleep(5);
  }
}

test.skipIf(process.platform !== 'linux')(
  'a reader that is killed is an error that says so, worth another try, and no crash',
  async () => {
    const over = new AbortController();
    const reading = inspectRdb(endless(over.signal)).catch((error) => error);
    await expect.poll(() => readersOf(process.pid), { timeout: 20_000 }).toHaveLength(1);
    process.kill((await readersOf(process.pid))[0]!, 'SIGKILL');
    expect(await reading).toMatchObject({
      code: 'RDB_READER_DIED',
      retryable: true,
      message: expect.stringContaining('SIGKILL'),
    });
    over.abort();
  },
);

test.skipIf(process.platform !== 'linux')(
  'a reader is gone when its work is done, has failed or was cancelled',
  async () => {
    const over = new AbortController();
    await inspectRdb(endless(over.signal), { signal: AbortSignal.timeout(1000) }).catch((error) => {
      expect(error.code).toBe('RDB_CANCELLED');
    });
    over.abort();
    await inspectRdb({ path: '/nowhere' }).catch((error) => expect(error.code).toBe('RDB_READ_FAILED'));
    expect(await readersOf(process.pid)).toEqual([]);
  },
);

test.skipIf(process.platform !== 'linux')(
  'a reader in the middle of a huge file ends soon after its parent was killed -9',
  async () => {
    await using folder = await temporaryFolder('orphan');
    const path = join(folder.path, 'huge.rdb');
    await writeFile(path, bytes(head, length(2 ** 40)));
    // No bytes on the disk, but minutes to read.
    await truncate(path, 2 ** 38);
    const script = join(folder.path, 'parent.mjs');
    const inspect = new URL('../../rdb/inspect.ts', import.meta.url).href;
    await writeFile(
      script,
      `import { inspectRdb } from ${JSON.stringify(inspect)};\nawait inspectRdb({ path: ${JSON.stringify(path)} });\n`,
    );
    const parent = spawn(process.execPath, [script], { stdio: 'ignore' });
    await expect.poll(() => readersOf(parent.pid!), { timeout: 30_000 }).toHaveLength(1);
    const [reader] = await readersOf(parent.pid!);
    await sleep(1000);
    expect(await isThere(reader!)).toBe(true);
    parent.kill('SIGKILL');
    await once(parent, 'exit');
    await expect.poll(() => isThere(reader!), { timeout: 20_000 }).toBe(false);
  },
);
