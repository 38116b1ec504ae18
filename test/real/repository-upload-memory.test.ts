import { spawnSync } from 'node:child_process';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { settingsFor, testPlace } from '../support/s3-repository.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const MIB = 1024 * 1024;

test('an upload takes under 256 MiB above idle, and no more for a file that is three times as large', async () => {
  await using folder = await temporaryFolder('upload-memory');
  const grown: number[] = [];
  for (const sizeBytes of [256 * MIB, 768 * MIB]) {
    const path = join(folder.path, `${sizeBytes}`);
    await writeFile(path, '');
    await truncate(path, sizeBytes);
    const most = Math.min(256 * MIB, (grown[0] ?? Number.POSITIVE_INFINITY) + 64 * MIB);
    // When the collector runs is luck; memory that an upload needs, or that grows with the file, is there every time.
    let least = Number.POSITIVE_INFINITY;
    for (let looks = 0; looks < 5 && least >= most; looks += 1) {
      least = Math.min(least, memoryOfUpload(path, sizeBytes));
    }
    expect(least).toBeLessThan(most);
    grown.push(least);
  }
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
