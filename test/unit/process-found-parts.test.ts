import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { foundPart, foundParts } from '../../process/found-parts.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
beforeEach(async () => {
  folder = await temporaryFolder('parts');
  mkdirSync(join(folder.path, 'bin'));
  writeFileSync(join(folder.path, 'bin', 'redis-server'), '', { mode: 0o755 });
  vi.stubEnv('REWIND_PARTS', join(folder.path, 'parts.json'));
  vi.stubEnv('PATH', join(folder.path, 'bin'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await folder.remove();
});

const bootstrapFound = (parts: object) => writeFileSync(join(folder.path, 'parts.json'), JSON.stringify(parts));

test('what the bootstrap found wins over PATH', () => {
  const redis = { path: '/cache/redis-server', version: '7.0.15', source: 'the cache' };
  bootstrapFound({ redis });
  expect(foundPart('redis')).toEqual(redis);
});

test('what the bootstrap could not provide is refused with its reason, whatever is on PATH', () => {
  bootstrapFound({ redis: { unavailable: '5.0.14 is older than 7.0' } });
  expect(() => foundPart('redis')).toThrow(
    expect.objectContaining({ code: 'PART_UNAVAILABLE', message: 'redis: 5.0.14 is older than 7.0' }),
  );
});

test('where no bootstrap ran, the program on PATH serves', () => {
  expect(foundParts()).toEqual({});
  expect(foundPart('redis')).toEqual({ path: join(folder.path, 'bin', 'redis-server'), source: 'PATH' });
});

test('a part that is nowhere is named with the program that would serve', () => {
  expect(() => foundPart('temporal')).toThrow(/no temporal on PATH/);
});

test('a damaged parts file is an error, not an empty machine', () => {
  writeFileSync(join(folder.path, 'parts.json'), '{"redis":');
  expect(() => foundPart('redis')).toThrow(SyntaxError);
});
