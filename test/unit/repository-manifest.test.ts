import { expect, test } from 'vitest';
import {
  assertManifestOf,
  decodeDocument,
  encodeDocument,
  type Manifest,
  manifestSchema,
} from '../../repository/manifest.ts';
import { backupAt, manifestOf } from '../support/manifests.ts';

const name = backupAt(0);
const manifest = manifestOf(name, Buffer.from('dump'));
const read = (document: unknown) =>
  decodeDocument(manifestSchema, Buffer.from(JSON.stringify(document)), 'manifest.json');
const refused = (sentence: string | RegExp) =>
  expect.objectContaining({ code: 'MANIFEST_INVALID', message: expect.stringMatching(sentence) });

test('a manifest comes back as it was written', () => {
  const bytes = encodeDocument(manifestSchema, manifest);
  expect(bytes.at(-1)).toBe(10);
  expect(decodeDocument(manifestSchema, bytes, 'manifest.json')).toEqual(manifest);
});

test('a field of a newer writer is passed over, a newer format version is not', () => {
  expect(read({ ...manifest, colour: 'blue', dump: { ...manifest.dump, disk: 7 } })).toEqual(manifest);
  expect(() => read({ ...manifest, formatVersion: 2 })).toThrow(refused('format version 2 is newer than 1'));
});

test.each<[string, (of: Manifest) => unknown]>([
  ['a size that is negative', (of) => ({ ...of, dump: { ...of.dump, sizeBytes: -1 } })],
  ['a size that is no whole number', (of) => ({ ...of, dump: { ...of.dump, sizeBytes: 1.5 } })],
  ['a size past what numbers hold', (of) => ({ ...of, dump: { ...of.dump, sizeBytes: 2 ** 60 } })],
  ['a digest that is none', (of) => ({ ...of, dump: { ...of.dump, sha256: 'X'.repeat(64) } })],
  ['a dump elsewhere', (of) => ({ ...of, dump: { ...of.dump, file: '../../other/dump.rdb' } })],
  ['an unknown compression', (of) => ({ ...of, dump: { ...of.dump, compression: 'lzma' } })],
  ['a state that is none', (of) => ({ ...of, state: 'fine' })],
  ['an id that climbs', (of) => ({ ...of, backupId: '../20261123T205000Z-1f3a9c04' })],
  ['a tier that is none', (of) => ({ ...of, tier: 'failed' })],
  ['no digest', ({ dump: { sha256: _, ...dump }, ...of }) => ({ ...of, dump })],
  ['endless modules', (of) => ({ ...of, modules: new Array(5_000).fill('m') })],
  ['endless checks', (of) => ({ ...of, verifications: new Array(300).fill(of.verifications[0]) })],
  ['an endless reason', (of) => ({ ...of, reason: 'x'.repeat(5_000) })],
  ['a database that is none', (of) => ({ ...of, keys: { ...of.keys, byDatabase: { __proto__x: 1 } } })],
  ['a list', () => []],
  ['null', () => null],
  ['a text', () => 'manifest'],
])('a manifest with %s is refused, not believed', (_, damage) => {
  expect(() => read(damage(manifest))).toThrow(refused(/cannot be read/));
});

test.each([
  ['cut in the middle', encodeDocument(manifestSchema, manifest).subarray(0, 300)],
  ['empty', Buffer.alloc(0)],
  ['zeroes', Buffer.alloc(500)],
  ['no UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22])],
])('a manifest that is %s is refused, and none of it is quoted', (_, bytes) => {
  expect(() => decodeDocument(manifestSchema, bytes, 'daily/manifest.json')).toThrow(
    refused(/^daily\/manifest\.json cannot be read: it is no JSON\.$/),
  );
});

test('deep nesting does not bring the reader down', () => {
  const deep = Buffer.from(`${'['.repeat(200_000)}${']'.repeat(200_000)}`);
  expect(() => decodeDocument(manifestSchema, deep, 'manifest.json')).toThrow(refused(/cannot be read/));
});

test('a manifest that was copied from another backup is refused', () => {
  expect(() => assertManifestOf(name, manifest, 'm')).not.toThrow();
  for (const other of [backupAt(1), { ...name, tier: 'daily' as const }, { ...name, instance: 'sessions' }]) {
    expect(() => assertManifestOf(other, manifest, 'm')).toThrow(refused('another backup'));
  }
});

test('what no reader would take is not written', () => {
  expect(() => encodeDocument(manifestSchema, { ...manifest, reason: 'x'.repeat(5_000) })).toThrow(
    refused('to be written'),
  );
});
