import { expect, test } from 'vitest';
import { judgeSizes, type SizeLook } from '../../archive/follow/same-files.ts';

const look = (server: number, before: number, after = before, baseFits = false): SizeLook => ({
  ...{ server, before, after, baseFits },
});

test('sizes between which the server’s figure lies are of its own files, however fast it writes', () => {
  expect(judgeSizes([look(100, 100)])).toBe('same');
  expect(judgeSizes([look(150, 100, 200)])).toBe('same');
  expect(judgeSizes([look(150, 100, 200), look(1_000, 900, 1_000)])).toBe('same');
});

test('a file system that tells sizes late shows what the server said before', () => {
  expect(judgeSizes([look(200, 100), look(400, 200), look(600, 400)])).toBe('same');
});

test('a torn end that a start cut off makes the same difference while the server writes', () => {
  expect(judgeSizes([look(130, 100, 100, true)])).toBe('torn');
  expect(judgeSizes([look(130, 100, 100, true), look(180, 150, 150, true)])).toBe('same');
  expect(judgeSizes([look(130, 100, 100, true), look(180, 140, 160, true)])).toBe('same');
});

test('files that stay as they are while the server writes, or have more than it wrote, are another’s', () => {
  expect(judgeSizes([look(130, 100, 100, true), look(180, 100, 100, true)])).toBe('others');
  expect(judgeSizes([look(100, 130), look(120, 130)])).toBe('others');
  // Two new servers are alike until one writes.
  expect(judgeSizes([look(0, 0)])).toBe('same');
  expect(judgeSizes([look(0, 0), look(50, 0)])).toBe('others');
  // That they are as long once, while the server writes on, says nothing.
  expect(judgeSizes([look(100, 130), look(120, 130), look(140, 130)])).toBe('others');
});

test('nothing is said of a server that does not write, but that they differ', () => {
  expect(judgeSizes([look(130, 100)])).toBe('unlike');
  expect(judgeSizes([look(100, 130), look(100, 130)])).toBe('unlike');
  expect(judgeSizes([look(100, 130), look(120, 150)])).toBe('same');
});
