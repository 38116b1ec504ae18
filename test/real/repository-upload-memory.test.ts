import { spawnSync } from 'node:child_process';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { settingsFor, testPlace } from '../support/s3-repository.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const MIB = 1024 * 1024;

test('an upload takes under 256 MiB above idle, and no more for a file that is three times as large', async () => {
  await using folder = await temporaryFolder('upload-memory');
  const file = async (sizeBytes: number) => {
    const path = join(folder.path, `${sizeBytes}`);
    await writeFile(path, '');
    await truncate(path, sizeBytes);
    return () => memoryOfUpload(path, sizeBytes);
  };
  // When the collector runs is luck, and moves a single look by tens of MiB; memory that grows with the file is there
  // every time, and would be 512 MiB more.
  const [small, large] = [await file(256 * MIB), await file(768 * MIB)];
  const smaller = [small(), small(), small()];
  const larger = [large(), large(), large()];
  expect(Math.min(...smaller)).toBeLessThan(256 * MIB);
  expect(Math.min(...larger)).toBeLessThan(256 * MIB);
  expect(Math.min(...larger)).toBeLessThan(Math.max(...smaller) + 64 * MIB);
});

/** Most memory that an upload adds to a process that has stored something before, in bytes. */
function memoryOfUpload(path: string, sizeBytes: number): number {
  const minio = inject('minio');
  const settings = settingsFor(testPlace(minio), { encryption: { sse: 'none' } });
  const open = new URL('../../repository/open.ts', import.meta.url).href;
  const script = `
    const { openRepository } = await import(${JSON.stringify(open)});
    const repository = await openRepository(${JSON.stringify(settings)});
    await repository.putSmall('hourly/warm', Buffer.from('x'));
    const idle = process.memoryUsage.rss();
    let most = idle;
    const look = setInterval(() => { most = Math.max(most, process.memoryUsage.rss()); }, 20);
    await repository.putFile('hourly/a', { path: process.argv[1] }, { sizeBytes: ${sizeBytes} });
    clearInterval(look);
    await repository.remove('hourly/a');
    console.log(most - idle);`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script, path], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return Number(stdout);
}
