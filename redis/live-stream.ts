import type { Redis } from 'ioredis';
import type { ContentDigest } from '../rdb/content-digest.ts';
import type { StreamId } from '../rdb/value-sink.ts';

/** What XINFO STREAM … FULL answers (https://redis.io/docs/latest/commands/xinfo-stream/), as far as it is compared. */
type Fields = ReadonlyMap<string, unknown>;

const noId = '0-0';

/**
 * Feeds a stream: its entries, what it knows of itself, its groups with what is pending, its consumers. Delivery times
 * and the like are asked for as absolute times, which XINFO … FULL alone gives.
 */
export async function readStream(redis: Redis, key: Buffer, digest: ContentDigest): Promise<void> {
  await readEntries(redis, key, digest);
  const short = await fullInfo(redis, key, 1);
  const mostPending = Math.max(1, ...groupsOf(short).map((group) => Number(group.get('pel-count'))));
  const info = mostPending === 1 ? short : await fullInfo(redis, key, mostPending);
  feedInfo(info, digest);
}

/**
 * Feeds a stream from what XINFO STREAM … FULL COUNT `most` answered, which has its entries in it, too. False, and
 * nothing is fed, where that is not all of it.
 */
export function feedWholeStream(answer: readonly unknown[], most: number, digest: ContentDigest): boolean {
  const info = fieldsOf(answer);
  const groups = groupsOf(info);
  const entries = info.get('entries') as [unknown, Buffer[]][];
  const length = Number(info.get('length'));
  if (length > most || entries.length !== length) return false;
  if (groups.some((group) => Number(group.get('pel-count')) > most)) return false;
  feedEntries(entries, digest);
  feedInfo(info, digest);
  return true;
}

function feedInfo(info: Fields, digest: ContentDigest): void {
  digest.streamInfo({
    length: Number(info.get('length')),
    lastId: idOf(info.get('last-generated-id')),
    maxDeletedId: idOf(info.get('max-deleted-entry-id') ?? noId),
    entriesAdded: BigInt(String(info.get('entries-added') ?? 0)),
  });
  for (const group of groupsOf(info)) readGroup(group, digest);
}

function readGroup(group: Fields, digest: ContentDigest): void {
  digest.group();
  digest.text(group.get('name') as Buffer);
  const entriesRead = group.get('entries-read');
  digest.groupInfo({
    lastId: idOf(group.get('last-delivered-id')),
    entriesRead: entriesRead === null || entriesRead === undefined ? -1n : BigInt(String(entriesRead)),
  });
  for (const [id, , deliveredAt, deliveries] of pendingOf(group)) {
    digest.pending(idOf(id), Number(deliveredAt), Number(deliveries));
  }
  for (const consumer of (group.get('consumers') as unknown[][]).map(fieldsOf)) {
    digest.consumer();
    digest.text(consumer.get('name') as Buffer);
    const activeAt = consumer.get('active-time');
    digest.consumerInfo({
      seenAtMs: Number(consumer.get('seen-time')),
      activeAtMs: activeAt === undefined || activeAt === null ? -1 : Number(activeAt),
    });
    for (const [id] of pendingOf(consumer)) digest.owned(idOf(id));
  }
}

async function readEntries(redis: Redis, key: Buffer, digest: ContentDigest): Promise<void> {
  const count = 256;
  let from = '-';
  for (;;) {
    const answer = await redis.callBuffer('XRANGE', key, from, '+', 'COUNT', count);
    const entries = answer as [Buffer, Buffer[]][];
    feedEntries(entries, digest);
    if (entries.length < count) return;
    const last = idOf(entries.at(-1)![0]);
    from = last.seq === 0xffff_ffff_ffff_ffffn ? `${last.ms + 1n}-0` : `${last.ms}-${last.seq + 1n}`;
  }
}

function feedEntries(entries: readonly [unknown, Buffer[]][], digest: ContentDigest): void {
  for (const [id, parts] of entries) {
    digest.streamEntry(idOf(id), parts.length / 2);
    for (const part of parts) digest.text(part);
  }
}

async function fullInfo(redis: Redis, key: Buffer, count: number): Promise<Fields> {
  return fieldsOf((await redis.callBuffer('XINFO', 'STREAM', key, 'FULL', 'COUNT', count)) as unknown[]);
}

function groupsOf(info: Fields): Fields[] {
  return (info.get('groups') as unknown[][]).map(fieldsOf);
}

/** The entries pending in a group (id, consumer, time, deliveries) or with a consumer (id, time, deliveries). */
function pendingOf(owner: Fields): unknown[][] {
  return owner.get('pending') as unknown[][];
}

function fieldsOf(flat: readonly unknown[]): Fields {
  const fields = new Map<string, unknown>();
  for (let i = 0; i + 1 < flat.length; i += 2) fields.set(String(flat[i]), flat[i + 1]);
  return fields;
}

function idOf(text: unknown): StreamId {
  const [ms, seq] = String(text).split('-');
  return { ms: BigInt(ms!), seq: BigInt(seq!) };
}
