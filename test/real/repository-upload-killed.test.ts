import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, inject, test } from 'vitest';
import type { UploadCursor } from '../../repository/repository.ts';
import { startS3FaultProxy } from '../support/s3-fault-proxy.ts';
import { openTestRepository, settingsFor, testPlace, uploadsOf } from '../support/s3-repository.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

const MIB = 1024 * 1024;
const dump = 'hourly/orders/20261123T205000Z-1f3a9c04/dump.rdb';

test('an uploader killed -9 in the middle is continued by another process: only what is missing is sent', async () => {
  await using folder = await temporaryFolder('upload-killed');
  const minio = inject('minio');
  const place = testPlace(minio);
  const encryption = { sse: 'aws:kms', kmsKeyId: minio.kmsKeyId } as const;
  const bytes = randomBytes(100 * MIB + 5);
  const path = join(folder.path, 'dump.rdb');
  await writeFile(path, bytes);

  const uploader = spawnUploader(settingsFor(place, { encryption }), path, bytes.length);
  let cursor: UploadCursor | undefined;
  let stored = 0;
  for await (const line of createInterface({ input: uploader.stdout! })) {
    const told = JSON.parse(line) as { cursor?: UploadCursor; stored?: number };
    cursor = told.cursor ?? cursor;
    stored = told.stored ?? stored;
    if (stored >= 40 * MIB) break;
  }
  uploader.kill('SIGKILL');
  await once(uploader, 'exit');

  const proxy = await startS3FaultProxy(minio.endpoint);
  const repository = await openTestRepository({ ...place, endpoint: proxy.endpoint }, { encryption });
  try {
    expect(await repository.stat(dump)).toBeUndefined();
    expect(await Array.fromAsync(repository.list(''))).toEqual([]);
    expect(await uploadsOf(place, dump)).toEqual([cursor?.uploadId]);

    await repository.putFile(dump, { path }, { sizeBytes: bytes.length, resume: cursor });
    const parts = Math.ceil(bytes.length / cursor!.partSize);
    const missing = parts - Math.floor(stored / cursor!.partSize);
    expect(proxy.count('UploadPart')).toBeGreaterThan(0);
    expect(proxy.count('UploadPart')).toBeLessThanOrEqual(missing);
    expect(proxy.count('CreateMultipartUpload')).toBe(0);

    const hash = createHash('sha256');
    for await (const chunk of await repository.read(dump)) hash.update(chunk as Buffer);
    expect(hash.digest('hex')).toBe(createHash('sha256').update(bytes).digest('hex'));
    expect(await uploadsOf(place, dump)).toEqual([]);
  } finally {
    repository.close();
    await proxy.stop();
  }
});

/** A process that stores a file slowly and tells its cursor and how far it is. */
function spawnUploader(settings: object, path: string, sizeBytes: number): ChildProcess {
  const open = new URL('../../repository/open.ts', import.meta.url).href;
  const script = `
    const { openRepository } = await import(${JSON.stringify(open)});
    const [settings, key, path, sizeBytes] = process.argv.slice(1);
    const tell = (told) => process.stdout.write(JSON.stringify(told) + '\\n');
    const repository = await openRepository(JSON.parse(settings));
    await repository.putFile(key, { path }, {
      sizeBytes: Number(sizeBytes),
      bytesPerSecond: 40 * 1024 * 1024,
      onCursor: (cursor) => tell({ cursor }),
      onProgress: (stored) => tell({ stored }),
    });`;
  const args = ['--input-type=module', '-e', script, JSON.stringify(settings), dump, path, String(sizeBytes)];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}
