import { expect, test } from 'vitest';
import { canContinue, MOST_PARTS, planCopy, planParts } from '../../repository/s3/part-plan.ts';

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const TIB = 1024 * GIB;

test.each([1, 100 * MIB, 156 * GIB, 157 * GIB, 1.1 * TIB, 5 * TIB])('%d bytes fit into 10,000 parts', (sizeBytes) => {
  const { partSize } = planParts(sizeBytes);
  expect(Math.ceil(sizeBytes / partSize)).toBeLessThanOrEqual(MOST_PARTS);
});

test('an upload takes at most 128 MiB of memory up to 1.2 TiB, and the same for 100 MB as for 2 GB', () => {
  const memory = (sizeBytes: number) => {
    const { partSize, inFlight } = planParts(sizeBytes);
    return partSize * inFlight;
  };
  for (const sizeBytes of [100 * MIB, 2 * GIB, 200 * GIB, 1.2 * TIB])
    expect(memory(sizeBytes)).toBeLessThanOrEqual(128 * MIB);
  expect(memory(100 * MIB)).toBe(memory(2 * GIB));
  expect(memory(5 * TIB)).toBeLessThan(530 * MIB);
});

test('more than an object store takes is refused before anything is sent', () => {
  expect(() => planParts(5 * TIB + 1)).toThrow(expect.objectContaining({ code: 'OBJECT_TOO_LARGE' }));
});

test('a cursor with a part size that S3 would refuse, or that cannot hold the file, is not continued', () => {
  expect(canContinue(16 * MIB, GIB)).toBe(true);
  expect(canContinue(16 * MIB, 157 * GIB)).toBe(false);
  for (const partSize of [0, -1, 1024, Number.NaN, 6e6 + 0.5]) expect(canContinue(partSize, GIB)).toBe(false);
});

test('a copy over 5 GiB goes in pieces without a gap', () => {
  expect(planCopy(5 * GIB)).toEqual([{ start: 0, end: 5 * GIB }]);
  const pieces = planCopy(5 * GIB + 1);
  expect(pieces.length).toBeGreaterThan(1);
  expect(pieces[0]?.start).toBe(0);
  expect(pieces.at(-1)?.end).toBe(5 * GIB + 1);
  for (const [index, piece] of pieces.slice(1).entries()) expect(piece.start).toBe(pieces[index]?.end);
});
