import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lastSeen, noteSeen } from '../../incident/crash/last-seen.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

test('when an agent last reached its server is known after a crash, for each instance by itself', async () => {
  await using folder = await temporaryFolder('seen');
  const of = (instance: string) => ({ home: folder.path, instance });
  expect(await lastSeen(of('orders'))).toBeUndefined();
  const before = Date.now();
  await noteSeen(of('orders'));
  expect(Date.parse((await lastSeen(of('orders'))) as string)).toBeGreaterThanOrEqual(before);
  expect(await lastSeen(of('sessions'))).toBeUndefined();
});

test('a note that is no time says nothing', async () => {
  await using folder = await temporaryFolder('seen');
  await mkdir(join(folder.path, 'seen'));
  for (const [name, text] of Object.entries({ half: '{"at":"2026-', odd: '{"at":"yesterday"}', other: '{"at":7}' })) {
    await writeFile(join(folder.path, 'seen', `${name}.json`), text);
    expect(await lastSeen({ home: folder.path, instance: name })).toBeUndefined();
  }
});
