import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { MockActivityEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { stringify } from 'yaml';
import { catalogueActivities } from '../../activities/catalogue.ts';
import { dumpActivities } from '../../activities/dump.ts';
import { proofActivities } from '../../activities/proof.ts';
import { saveActivities } from '../../activities/save.ts';
import type { BackupSubject } from '../../backup/subject.ts';
import { loadConfig } from '../../config/load.ts';
import { newBackupId } from '../../repository/layout.ts';
import { openInstance } from '../../workers/instance-context.ts';
import { sandboxSettings } from '../../workers/sandbox.ts';
import { connectTo, fillMegabytes } from '../support/dataset.ts';
import { createBucket, s3Client } from '../support/s3-store.ts';
import { type RedisServer, redisBinary, startRedis } from '../support/servers.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

/** Stored in two parts. */
const MEGABYTES = 20;

let redis: RedisServer;
let home: TemporaryFolder;
let bucket: string;

beforeAll(async () => {
  [redis, home, bucket] = await Promise.all([
    startRedis({ config: { rdbcompression: 'no' } }),
    temporaryFolder('twice'),
    createBucket(inject('minio')),
  ]);
  await fillMegabytes(redis, MEGABYTES);
});
afterAll(async () => {
  await redis?.stop();
  await home?.remove();
});

/** Runs a step, and again with the same input and what the first one's heartbeats left, as after a lost completion. */
async function twice<Input extends unknown[], Result>(step: (...input: Input) => Promise<Result>, ...input: Input) {
  let cursor: unknown;
  const once = () => {
    const environment = new MockActivityEnvironment({ heartbeatDetails: cursor });
    environment.on('heartbeat', (details: unknown) => {
      cursor = details;
    });
    return environment.run(step, ...input) as Promise<Result>;
  };
  return [await once(), await once()] as const;
}

it('every step of a backup, run twice with the same input, gives the same and does nothing double', async () => {
  const { steps, subject } = await everyStep();
  const saved = await saves();

  const [preflight, again] = await twice(steps.preflight, subject);
  expect(again.identity).toBe(preflight.identity);
  const [start, sameStart] = await twice(steps.bgsave, subject);
  expect(sameStart).toEqual(start);
  const [end, sameEnd] = await twice(steps.waitForBgsave, subject, start);
  expect(sameEnd).toEqual(end);
  expect(await saves()).toBe(saved + 1);

  const [pin, samePin] = await twice(steps.pin, subject, { ...preflight.dump!, startedAt: start.startedAt });
  expect(samePin).toEqual(pin);
  expect(await readdir(join(redis.dir, '.rewind'))).toHaveLength(1);
  const [checked, sameChecked] = await twice(steps.checkRdb, subject, pin, start);
  expect(sameChecked).toEqual(checked);

  const [object, sameObject] = await twice(steps.upload, subject, pin);
  expect(sameObject).toEqual(object);
  const [verified, sameVerified] = await twice(steps.verifyUpload, subject, object);
  expect(sameVerified).toEqual(verified);

  const { key, sizeBytes } = object.dump;
  const request = { id: subject.backupId, key, sizeBytes, facts: checked.facts };
  const [proof, sameProof] = await twice(steps.loadAndVerify, request);
  const results = (report: typeof proof) => report.checks.map(({ name, result }) => `${name} ${result}`);
  expect(results(sameProof)).toEqual(results(proof));
  expect(await readdir(join(home.path, 'proofs'))).toEqual([]);

  const dump = { ...checked, object, checks: [...checked.checks, verified], save: { ...start, ...end } };
  const [published, samePublished] = await twice(steps.publish, { subject, preflight, dump, proof });
  expect(published).toMatchObject({ state: 'verified', keys: MEGABYTES * 1024 });
  expect(samePublished).toEqual(published);

  await twice(steps.prune, subject, { stored: true, dumpDir: preflight.dump?.dir });
  expect(await readdir(redis.dir)).not.toContain('.rewind');
  const directory = `redis/hourly/orders/${subject.backupId}`;
  expect(await objects()).toEqual([
    `${directory}/dump.rdb`,
    `${directory}/manifest.json`,
    `${directory}/server.json`,
    'redis/identity/orders/00000001.json',
  ]);
});

it('an upload that goes on in a worker which was thought dead, beside its repetition: both end with the one object', async () => {
  const { steps, subject } = await everyStep();
  const run = <Result>(step: () => Promise<Result>) => new MockActivityEnvironment().run(step) as Promise<Result>;
  const preflight = await run(() => steps.preflight(subject));
  const start = await run(() => steps.bgsave(subject));
  await run(() => steps.waitForBgsave(subject, start));
  const pin = await run(() => steps.pin(subject, { ...preflight.dump!, startedAt: start.startedAt }));
  const [one, other] = await Promise.all([
    run(() => steps.upload(subject, pin)),
    run(() => steps.upload(subject, pin)),
  ]);
  expect(other).toEqual(one);
  await run(() => steps.prune(subject, { stored: false, dumpDir: preflight.dump?.dir }));
  expect((await objects()).filter((key) => key.includes(subject.backupId))).toEqual([]);
});

/** The activities as the workers make them, of one configuration. */
async function everyStep() {
  const minio = inject('minio');
  const path = join(home.path, 'rewind.yaml');
  const config = {
    repository: {
      url: `s3://${bucket}/redis`,
      endpoint: minio.endpoint,
      region: minio.region,
      pathStyle: true,
      encryption: { sse: 'aws:kms', kmsKeyId: minio.kmsKeyId },
    },
    sandbox: { servers: [redisBinary()] },
    instances: { orders: { url: `redis://127.0.0.1:${redis.port}` } },
  };
  await writeFile(path, stringify(config));
  Object.assign(process.env, minio.env);
  const loaded = await loadConfig({ path, env: process.env, cwd: home.path });
  const contextOf = openInstance({ config: loaded, env: process.env, home: home.path });
  const { policy, repository } = await contextOf({ instance: 'orders' });
  const subject: BackupSubject = {
    instance: 'orders',
    policyDigest: policy.digest,
    backupId: newBackupId(new Date(), String(Math.random())),
    tier: 'hourly',
  };
  const steps = {
    ...saveActivities(contextOf),
    ...dumpActivities(contextOf),
    ...catalogueActivities(contextOf),
    ...proofActivities(repository, await sandboxSettings(loaded, home.path)),
  };
  return { steps, subject };
}

/** How many saves Redis was asked for since it started. */
async function saves(): Promise<number> {
  const live = await connectTo(redis);
  const info = await live.info('persistence').finally(() => live.disconnect());
  return Number(/^rdb_saves:(\d+)/m.exec(info)?.[1]);
}

async function objects(): Promise<string[]> {
  const client = s3Client(inject('minio'));
  const { Contents } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
  client.destroy();
  return (Contents ?? []).map(({ Key }) => Key as string);
}
