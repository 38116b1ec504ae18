import { createHash } from 'node:crypto';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findMoment } from '../../archive/read/find-moment.ts';
import { layDown } from '../../archive/read/lay-down.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { type ReplaySurvey, surveyReplay } from '../../incident/flush/survey-replay.ts';
import { openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import type { RestorePoint } from '../../restore/restore-point.ts';
import { rewritten } from '../support/archive.ts';
import { ArchiveCutter } from '../support/archive-cutter.ts';
import { dataDigest, debugAllowed } from '../support/data-digest.ts';
import { connectTo } from '../support/dataset.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const withAof = {
  ...debugAllowed(),
  appendonly: 'yes',
  'aof-timestamp-enabled': 'yes',
  'aof-disable-auto-gc': 'yes',
  'auto-aof-rewrite-percentage': '0',
};
const io = { signal: new AbortController().signal, onProgress: () => undefined };

let folder: TemporaryFolder;
let repository: Repository;

beforeAll(async () => {
  folder = await temporaryFolder('archive-omit');
  const url = `file://${join(folder.path, 'repository')}`;
  repository = await openRepository({ url, encryption: { sse: 'none' } } as Parameters<typeof openRepository>[0]);
});
afterAll(() => folder.remove());

type Commands = readonly (readonly (string | number)[])[];

const before: Commands = [
  ['SET', 'a', '1'],
  ['INCRBY', 'n', 5],
  ['SELECT', 3],
  ['RPUSH', 'list', 'x', 'y\r\n\0z'],
  ['SET', 'only in 3', 'v'],
];
const after: Commands = [
  ['SELECT', 0],
  ['INCRBY', 'n', 7],
  ['SET', 'a', '9'],
  ['INCR', 'a'],
  ['SETNX', 'new', '1'],
  ['SELECT', 3],
  ['RPUSH', 'list', 'after'],
  ['EXPIRE', 'list', 5_000],
];

const cases: readonly {
  name: string;
  destructive: Commands;
  without: Commands;
  left: object;
  old: readonly string[];
}[] = [
  {
    name: 'FLUSHALL inside of a transaction: the rest of that stays',
    destructive: [['MULTI'], ['SET', 'in', '1'], ['FLUSHALL'], ['SET', 'in too', '2'], ['EXEC']],
    without: [['MULTI'], ['SET', 'in', '1'], ['SET', 'in too', '2'], ['EXEC']],
    left: { command: 'FLUSHALL', count: 1 },
    old: ['0 n INCRBY', '3 list RPUSH PEXPIREAT'],
  },
  {
    name: 'FLUSHDB of one database: writes to the other rest on nothing that went',
    destructive: [['SELECT', 3], ['FLUSHDB']],
    without: [['SELECT', 3]],
    left: { command: 'FLUSHDB', count: 1, database: 3 },
    old: ['3 list RPUSH PEXPIREAT'],
  },
  {
    name: 'SWAPDB: what came since goes where it would have gone',
    destructive: [['SWAPDB', 0, 3]],
    without: [],
    left: { command: 'SWAPDB', count: 1 },
    old: ['0 n INCRBY', '3 list RPUSH PEXPIREAT'],
  },
  {
    name: 'a mass UNLINK, one command after the other',
    destructive: [
      ['SELECT', 0],
      ['UNLINK', 'a'],
      ['UNLINK', 'n'],
    ],
    without: [],
    left: { command: 'UNLINK', count: 2 },
    old: ['0 n INCRBY'],
  },
];

for (const [index, { name, destructive, without, left, old }] of cases.entries()) {
  test(name, async () => {
    const instance = `case${index}`;
    const live = await startRedis({ config: withAof });
    const reference = await startRedis({ config: debugAllowed() });
    try {
      const cutter = new ArchiveCutter(repository, { instance, segmentBytes: () => 60 });
      await cutter.begin('first');
      await send([live, reference], before);
      const point = await saved(live, instance);
      await send([live], destructive);
      await send([reference], without);
      await cutter.look(live.dir);
      await markMassDelete(cutter);
      await send([live, reference], after.slice(0, 3));
      // A base of after the flush: what is replayed has to begin before it.
      const admin = await connectTo(live);
      await rewritten(admin);
      admin.disconnect();
      await send([live, reference], after.slice(3));

      const survey = await surveyed(live, cutter, point);
      expect(survey.leftOut).toMatchObject([left]);
      expect(await digestOf(survey)).toBe(await dataDigest(reference));
      const file = survey.relativeFile ? String(await repository.readSmall(survey.relativeFile, 10_000)) : '';
      const told = file
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line));
      const words = told.map(({ db, key, commands }) => [db, key, ...Object.keys(commands)].join(' '));
      expect(words.map((each) => each.toUpperCase()).sort()).toEqual(old.map((each) => each.toUpperCase()));
      expect(survey.relative).toMatchObject({ keys: old.length, untold: 0 });
    } finally {
      for (const server of [live, reference]) await server.stop();
    }
  });
}

test('an archive that nobody writes any more is waited for in no case: that it is behind is said', async () => {
  const live = await startRedis({ config: withAof });
  try {
    const cutter = new ArchiveCutter(repository, { instance: 'silent' });
    await cutter.begin('first');
    await send([live], [...before, ['FLUSHALL']]);
    await cutter.look(live.dir);
    const moment = await findMoment({ repository, instance: 'silent' }, { kind: 'before-flush' });
    const asked = { moment, before: await saved(live, 'silent') };
    const context = contextOf(live, 'silent', false);
    await expect(surveyReplay(context, subjectOf('silent'), asked, io)).rejects.toMatchObject({
      code: 'ARCHIVE_BEHIND',
    });
  } finally {
    await live.stop();
  }
});

const subjectOf = (instance: string) => ({ instance, policyDigest: '', restoreId: `restore-${instance}` });

const contextOf = ({ url }: RedisServer, instance: string, archived: boolean) =>
  ({
    policy: { instance, archive: archived ? {} : undefined },
    target: { url },
    repository,
    home: join(folder.path, 'home'),
  }) as unknown as InstanceContext;

/** The survey waits for its mark in the archive: what the server appends gets there meanwhile. */
async function surveyed(live: RedisServer, cutter: ArchiveCutter, point: RestorePoint): Promise<ReplaySurvey> {
  const { instance } = cutter;
  await cutter.look(live.dir);
  const moment = await findMoment({ repository, instance }, { kind: 'before-flush' });
  const surveying = surveyReplay(contextOf(live, instance, true), subjectOf(instance), { moment, before: point }, io);
  let ended = false;
  const end = () => {
    ended = true;
  };
  surveying.then(end, end);
  while (!ended) {
    await cutter.look(live.dir);
    await sleep(50);
  }
  return surveying;
}

/** As a follower tells it; a cutter knows only what empties databases. */
async function markMassDelete(cutter: ArchiveCutter): Promise<void> {
  const deletes = cutter.units.filter(({ name }) => name === 'unlink');
  const [first, last] = [deletes[0], deletes.at(-1)];
  if (!first || !last) return;
  const timeMs = Date.now();
  const until = { position: last.end, timeMs };
  await cutter.event({ kind: 'destructive', position: first.start, timeMs, until, command: 'UNLINK', keys: 2 });
}

/** What is there now, as a backup's dump. */
async function saved(server: RedisServer, instance: string): Promise<RestorePoint> {
  const redis = await connectTo(server);
  await redis.save();
  redis.disconnect();
  const path = join(server.dir, 'dump.rdb');
  const { size: sizeBytes } = await stat(path);
  const dumpKey = `restores/${instance}/before.rdb`;
  await repository.putFile(dumpKey, { path }, { sizeBytes });
  const sha256 = createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
  return { id: 'before', dumpKey, sizeBytes, sha256 } as RestorePoint;
}

async function digestOf({ moment }: ReplaySurvey): Promise<string> {
  const dir = join(folder.path, `laid-${moment.instance}`);
  await layDown({ repository, instance: moment.instance }, moment, dir, io);
  const server = await startRedis({ dir, config: { ...debugAllowed(), appendonly: 'yes' } });
  return dataDigest(server).finally(async () => {
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  });
}

async function send(servers: readonly RedisServer[], commands: Commands) {
  for (const server of servers) {
    const redis = await connectTo(server);
    for (const [verb, ...args] of commands) await redis.call(String(verb), ...args);
    redis.disconnect();
  }
}
