import type { StreamId } from '../../rdb/value-sink.ts';

export const noId: StreamId = { ms: 0n, seq: 0n };

export const idText = ({ ms, seq }: StreamId): string => `${ms}-${seq}`;

export function isBefore(a: StreamId, b: StreamId): boolean {
  return a.ms < b.ms || (a.ms === b.ms && a.seq < b.seq);
}

export const isSame = (a: StreamId, b: StreamId): boolean => a.ms === b.ms && a.seq === b.seq;
