import { expect, test } from 'vitest';
import {
  backupObject,
  failedDirectory,
  newBackupId,
  parseBackupKey,
  timeOfBackupId,
  utcTime,
} from '../../repository/layout.ts';
import { assertKey, assertPrefix } from '../../repository/object-key.ts';

const at = new Date('2026-11-23T20:50:00.123Z');

test('a backup id says its time, sorts by it, and is the same for the same nonce', () => {
  const id = newBackupId(at, 'a');
  expect(id).toMatch(/^20261123T205000Z-[0-9a-f]{8}$/);
  expect(newBackupId(at, 'a')).toBe(id);
  expect(newBackupId(at, 'b')).not.toBe(id);
  expect(timeOfBackupId(id)?.toISOString()).toBe('2026-11-23T20:50:00.000Z');
  expect(utcTime(at) < utcTime(new Date(at.getTime() + 1000))).toBe(true);
});

test.each([
  '',
  'latest',
  '20261123T205000Z',
  '20261399T205000Z-1f3a9c04',
  '../20261123T205000Z-1f3a9c04',
  '20261123T205000Z-1f3a9c04/x',
])('%j is no backup id', (id) => {
  expect(timeOfBackupId(id)).toBeUndefined();
});

test('a key below an instance is taken apart, and what no backup wrote is passed over', () => {
  const name = { instance: 'orders', tier: 'daily', backupId: newBackupId(at, 'a') } as const;
  expect(parseBackupKey(backupObject(name, 'dump.rdb'), 'daily', 'orders')).toEqual({ name, file: 'dump.rdb' });
  expect(parseBackupKey(`${failedDirectory(name)}manifest.json`, 'daily', 'orders', true)).toEqual({
    name,
    file: 'manifest.json',
  });
  expect(parseBackupKey(backupObject(name, 'dump.rdb'), 'daily', 'order')).toBeUndefined();
  expect(parseBackupKey('daily/orders/README.txt', 'daily', 'orders')).toBeUndefined();
  expect(parseBackupKey('daily/orders/notes/dump.rdb', 'daily', 'orders')).toBeUndefined();
});

test.each(['../etc/passwd', 'a/../b', '/a', 'a//b', 'a/', 'a/.b', './a', 'a\\b', 'a b', 'a\0b', '', 'x'.repeat(600)])(
  'the name %j cannot leave its place: it is refused',
  (key) => {
    expect(() => assertKey(key)).toThrow(expect.objectContaining({ code: 'REPOSITORY_NAME_INVALID' }));
  },
);

test('a prefix may end anywhere in a name, but not climb', () => {
  for (const prefix of ['', 'hourly/', 'hourly/ord', 'hourly/orders/'])
    expect(() => assertPrefix(prefix)).not.toThrow();
  for (const prefix of ['..', '../', 'a/../', '/a', 'a//']) {
    expect(() => assertPrefix(prefix)).toThrow(expect.objectContaining({ code: 'REPOSITORY_NAME_INVALID' }));
  }
});
