import { createHash } from 'node:crypto';
import { encodeHourIndex } from '../../archive/hour-index.ts';
import { baseRecordKey, eventKey, hourKey, segmentKey, timelineKey } from '../../archive/layout.ts';
import { drawArchive } from '../../archive/read/timeline.ts';
import { baseSchema, encodeRecord, eventSchema, timelineSchema } from '../../archive/records.ts';
import { encodeSegment } from '../../archive/segment.ts';
import { mapBounded } from '../../repository/map-bounded.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import { atMost, table, timed } from './report.ts';
import type { Stage } from './stage.ts';
import { inTurn, median } from './turns.ts';

const instance = 'bench';
const common = { formatVersion: 1, instance, identity: '6f2c1c5e-4a51-4c0e-9d55-0d8f5a3a2b11', timeline: 1 } as const;
const hours = 30 * 24;
/** One every 2.6 s: a million in thirty days. */
const segmentsAnHour = 1_389;
const segmentBytes = 64;
const hourMs = 3_600_000;
const targetSeconds = 2;
const targetRequests = 100;

/** The timeline of thirty days: a million segments, compacted into hours, the last two hours as they were shipped. */
export async function benchTimeline(stage: Stage, rounds: number): Promise<string> {
  const { bucket, endpoint, region } = await stage.minio();
  const url = `s3://${bucket}/timeline-${Date.now()}`;
  const repository = await openRepository({ url, endpoint, region, pathStyle: true, encryption: { sse: 'AES256' } });
  await store(repository);
  const counted = countRequests(repository);
  let requests = 0;
  const drawing = {
    name: 'rewind timeline',
    once: async () => {
      const startedAt = performance.now();
      const before = counted.requests();
      const [picture] = await drawArchive({ repository: counted.repository, instance });
      requests = counted.requests() - before;
      if (picture?.hours !== hours || picture.destructive.length !== 30) throw new Error('it drew something else');
      return (performance.now() - startedAt) / 1_000;
    },
  };
  const [taken] = await inTurn([drawing], rounds);
  repository.close();
  return table(
    `The timeline of 30 days: ${hours * segmentsAnHour} segments in ${hours} hours, and ${2 * segmentsAnHour}`,
    [
      {
        what: 'drawn from the store',
        figure: timed(taken!),
        goal: atMost(median(taken!.seconds), targetSeconds, ' s'),
      },
      { what: 'requests', figure: String(requests), goal: atMost(requests, targetRequests) },
    ],
  );
}

async function store(repository: Repository): Promise<void> {
  const start = Math.floor(Date.now() / hourMs) * hourMs - (hours + 2) * hourMs;
  const server = { name: 'redis', version: '7.0.15', runId: '' } as const;
  const key = timelineKey(instance, 1);
  const record = { ...common, start: 0, startedMs: start, why: 'first', server } as const;
  await repository.putSmall(key, encodeRecord(timelineSchema, record, key));
  const bytesAnHour = segmentsAnHour * segmentBytes;
  await mapBounded(
    Array.from({ length: hours }, (_, hour) => hour),
    16,
    async (hour) => {
      const from = hour * bytesAnHour;
      const firstMs = start + hour * hourMs;
      const name = { start: from, end: from + bytesAnHour, firstMs, lastMs: firstMs + hourMs - 1 };
      // The picture is drawn from names: what the objects hold is not looked at.
      await repository.putSmall(hourKey(instance, 1, name, 'segs'), Buffer.from('-'));
      const index = {
        ...common,
        sizeBytes: 1,
        sha256: '0'.repeat(64),
        segments: [[name.start, name.end, 0, firstMs, name.lastMs]] as [[number, number, number, number, number]],
      };
      await repository.putSmall(hourKey(instance, 1, name, 'json'), encodeHourIndex(index, 'an hour'));
      if (hour % 6 === 0) {
        const base = {
          ...common,
          position: from,
          kind: 'rdb',
          sizeBytes: 1,
          sha256: '0'.repeat(64),
          timeMs: firstMs,
          server,
        } as const;
        const baseKey = baseRecordKey(instance, 1, from);
        await repository.putSmall(baseKey, encodeRecord(baseSchema, base, baseKey));
      }
      if (hour % 24 === 0) {
        const event = {
          ...common,
          kind: 'destructive',
          position: from + 64,
          timeMs: firstMs,
          command: 'FLUSHALL',
        } as const;
        const eventName = eventKey(instance, 1, event);
        await repository.putSmall(eventName, encodeRecord(eventSchema, event, eventName));
      }
    },
  );
  const body = Buffer.alloc(segmentBytes, 0x2a);
  await mapBounded(
    Array.from({ length: 2 * segmentsAnHour }, (_, i) => i),
    16,
    async (i) => {
      const from = hours * bytesAnHour + i * segmentBytes;
      const ms = start + hours * hourMs + i * 2_592;
      const header = {
        ...common,
        start: from,
        end: from + segmentBytes,
        file: { name: 'appendonly.aof.1.incr.aof', offset: 0 },
        db: 0,
        commands: 1,
        firstMs: ms,
        lastMs: ms,
        marks: [[ms, from + segmentBytes]] as [[number, number]],
        previous: createHash('sha256').update(String(i)).digest('hex'),
        runId: '',
      };
      await repository.putSmall(segmentKey(instance, 1, from), encodeSegment(header, body).bytes);
    },
  );
}

/** A listing is a request for each thousand names. */
function countRequests(repository: Repository): { repository: Repository; requests(): number } {
  let count = 0;
  const counting = new Proxy(repository, {
    get(target, name) {
      const call = Reflect.get(target, name) as (...args: unknown[]) => unknown;
      if (typeof call !== 'function') return call;
      if (name !== 'list') {
        return (...args: unknown[]) => {
          count += 1;
          return call.apply(target, args);
        };
      }
      return async function* (prefix: string) {
        let names = 0;
        for await (const object of target.list(prefix)) {
          if (names % 1_000 === 0) count += 1;
          names += 1;
          yield object;
        }
        if (names === 0) count += 1;
      };
    },
  });
  return { repository: counting, requests: () => count };
}
