import { expect, test } from 'vitest';
import { eventKey, hourKey, parseEventKey, parseHourKey, parseSegmentKey, segmentKey } from '../../archive/layout.ts';
import { decodeSegment, decodeSegmentHeader, encodeSegment, headerBytes } from '../../archive/segment.ts';

const body = Buffer.from('*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$2\r\na\n\r\n$2\r\n\0\r\r\n', 'latin1');
const header = {
  instance: 'orders',
  identity: '6f6a5a5e-6f0e-4d3c-9d39-6b1c6e0d9c11',
  timeline: 1,
  start: 4096,
  end: 4096 + body.length,
  file: { name: 'appendonly.aof.1.incr.aof', offset: 23 },
  db: 0,
  commands: 2,
  firstMs: 1_700_000_000_000,
  lastMs: 1_700_000_000_050,
  marks: [
    [1_700_000_000_000, 4110],
    [1_700_000_000_050, 4096 + body.length],
  ] as [number, number][],
  previous: null,
  runId: 'a'.repeat(40),
};

test('a segment reads back as it was, also from the middle of an hour', () => {
  const one = encodeSegment(header, body);
  const two = encodeSegment({ ...header, previous: one.digest }, body);
  const hour = Buffer.concat([one.bytes, two.bytes]);
  const first = decodeSegment(hour, 'hour');
  expect(first).toMatchObject({ header: { ...header, previous: null }, digest: one.digest });
  expect(Buffer.from(first.body)).toEqual(body);
  const second = decodeSegment(hour, 'hour', first.next);
  expect(second.header.previous).toBe(first.digest);
  expect(second.next).toBe(hour.length);
  expect(decodeSegmentHeader(hour.subarray(0, headerBytes), 'hour').header.end).toBe(header.end);
});

test('a segment with any byte altered, or cut anywhere, is damaged', () => {
  const { bytes, digest } = encodeSegment(header, body);
  for (let at = 0; at < bytes.length; at++) {
    const altered = Buffer.from(bytes);
    altered[at]! ^= 1;
    let read: ReturnType<typeof decodeSegment> | undefined;
    try {
      read = decodeSegment(altered, 'key');
    } catch (error) {
      expect(error).toMatchObject({ code: 'ARCHIVE_SEGMENT_DAMAGED' });
    }
    // What a header says of times and names is not proven by its own bytes, but by the next segment, which holds its digest.
    if (read) expect(read.digest).not.toBe(digest);
    expect(() => decodeSegment(bytes.subarray(0, at), 'key')).toThrow(/cannot be read/);
  }
});

test('names sort as positions do, and what is no name of this version is passed over', () => {
  const keys = [0, 9, 10, 4096, Number.MAX_SAFE_INTEGER].map((start) => segmentKey('orders', 2, start));
  expect(keys.toSorted()).toEqual(keys);
  expect(keys.map((key) => parseSegmentKey(key, 'orders', 2))).toEqual([0, 9, 10, 4096, Number.MAX_SAFE_INTEGER]);
  expect(parseSegmentKey(keys[0]!, 'orders', 1)).toBeUndefined();
  expect(parseSegmentKey(`${keys[0]}.tmp`, 'orders', 2)).toBeUndefined();
  expect(parseSegmentKey(segmentKey('orders', 2, 0).replace('0000000000000000', '9999999999999999'), 'orders', 2)).toBe(
    undefined,
  );
  const hour = { start: 1, end: 20, firstMs: 5, lastMs: 6 };
  expect(parseHourKey(hourKey('orders', 1, hour, 'json'), 'orders', 1)).toEqual(hour);
  expect(parseHourKey(hourKey('orders', 1, hour, 'segs'), 'orders', 1)).toBeUndefined();
  const event = { position: 7, timeMs: 8, kind: 'destructive' as const };
  expect(parseEventKey(eventKey('orders', 1, event), 'orders', 1)).toEqual(event);
});
