import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { asOwnChange } from '../../archive/loss/own-change.ts';
import { findMoment } from '../../archive/read/find-moment.ts';
import { layDown } from '../../archive/read/lay-down.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { inspectRdb } from '../../rdb/inspect.ts';
import { streamAsPrimary } from '../../restore/as-primary/stream-as-primary.ts';
import { factsOf } from '../../sandbox/dump-facts.ts';
import { archiveContext, type Following, instance, latestDigest, readArchive, until } from '../support/archive.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { movingAddress } from '../support/moving-address.ts';
import { type Node, ReplicaSet, untilSynced } from '../support/replication.ts';
import { startRedis } from '../support/servers.ts';
import { stream } from '../support/stream.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

let folder: TemporaryFolder;
let set: ReplicaSet;
let primary: Node;
let other: Node;
let context: InstanceContext;
let following: Following;

beforeEach(async () => {
  folder = await temporaryFolder('stream-replaced');
  set = new ReplicaSet();
  primary = await set.start({ config: debugAllowed() });
  other = await set.start({ config: debugAllowed() });
  await other.redis.set('all', 'there is');
  context = await archiveContext(primary, { home: join(folder.path, 'home'), repository: join(folder.path, 'store') });
  following = stream(context);
  await until('the base', async () => (await archive()).bases.length > 0);
  await primary.redis.set('before', '1');
  await shipped('before');
});
afterEach(async () => {
  await following.stop().catch(() => undefined);
  await set.stop();
  await folder.remove();
});

const archive = () => readArchive(context.repository);
const shipped = (text: string) =>
  until(`${text} is shipped`, async () =>
    (await archive()).segments.some(({ body }) => Buffer.from(body).includes(text)),
  );
const replaced = () =>
  until('the second timeline', async () => ((await archive()).timelines.length > 1 ? archive() : undefined));

/** What a plain server holds at the end of the first timeline. */
async function endOfFirst(): Promise<string> {
  const place = { repository: context.repository, instance };
  const moment = await findMoment(place, { kind: 'latest' }, { timeline: 1 });
  await using at = await temporaryFolder('stream-moment');
  await layDown(place, moment, at.path, { signal: new AbortController().signal, onProgress: () => undefined });
  const plain = await startRedis({ dir: at.path, config: { appendonly: 'yes', ...debugAllowed() } });
  return dataDigest(plain).finally(() => plain.stop());
}

test('a dump is streamed in place of everything, a few bytes after its place in the history was chosen: no archive and no replica goes on as if nothing had happened', async () => {
  const replica = await set.replica(primary, { config: debugAllowed() });
  await primary.redis.set('to both', '1');
  await shipped('to both');
  await other.redis.save();
  const dumpPath = join(other.server.dir, 'dump.rdb');
  let expected = '';
  // The last moment before it is a replica: a write as long as what a primary says for its own sake.
  const address = await movingAddress(primary.server.port, {
    asks: async (bytes) => {
      if (!/replicaof\r\n\$9\r\n127\.0\.0\.1/i.test(bytes.toString('latin1'))) return;
      await primary.redis.set('a', 'b');
      await shipped('\r\n$1\r\na\r\n$1\r\nb\r\n');
      await until('the replica has it', async () => (await replica.redis.exists('a')) === 1);
      expected = await dataDigest(primary.server);
    },
  });
  try {
    const facts = factsOf(await inspectRdb({ path: dumpPath }));
    const io = { signal: new AbortController().signal, onProgress: () => undefined };
    const request = {
      dumpPath,
      facts,
      target: { url: address.url },
      home: join(folder.path, 'restore'),
      allow: { replicas: true },
    };
    const noted = { ...context, policy: { ...context.policy, archive: {} as never } };
    await asOwnChange(noted, 'restore', () => streamAsPrimary(request, io));
  } finally {
    await address.stop();
  }
  const { timelines } = await replaced();
  // Written again and again: what is written before the link is there is in the dump only.
  await until('what is written is archived', async () => {
    await primary.redis.incr('after');
    return (await archive()).segments.some(({ body }) => Buffer.from(body).includes('after'));
  });
  await primary.redis.set('at last', '1');
  await shipped('at last');
  expect(timelines[1]).toMatchObject({ why: 'restore', parent: { timeline: 1 } });
  expect(await endOfFirst()).toBe(expected);
  expect(await latestDigest(context)).toBe(await dataDigest(primary.server));
  await untilSynced(primary.redis, replica.redis);
  expect(await dataDigest(replica.server)).toBe(await dataDigest(primary.server));
});
