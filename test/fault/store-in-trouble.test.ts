import { DeleteObjectCommand, GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { fillEveryType, fillMegabytes } from '../support/dataset.ts';
import { failureOf } from '../support/failure-of.ts';
import { lookAround } from '../support/left-as-found.ts';
import { stepsOf } from '../support/run-steps.ts';
import { type S3Deployment, startOnS3 } from '../support/s3-deployment.ts';
import {
  answers,
  dropsDownloadAfter,
  dropsUploadAfter,
  type Fault,
  losesAnswer,
  type S3FaultProxy,
  startS3FaultProxy,
  swallows,
  waits,
} from '../support/s3-fault-proxy.ts';
import { s3Client } from '../support/s3-store.ts';
import { type RedisServer, startRedis } from '../support/servers.ts';

/** Stored in two parts. */
const MEGABYTES = 24;

/** A step of this deployment counts as dead after three seconds of silence. */
const SLOWER_THAN_A_HEARTBEAT_MS = 4_000;

const drops: Fault = async ({ drop }) => drop();

/** What happens to the first so many requests of a kind, for the objects of one instance. */
interface Trouble {
  readonly operation: string;
  readonly file?: string;
  readonly fault: Fault;
  times: number;
}

const large = new Set(['answers-500', 'loses-answers', 'drops']);

const troubles: Record<string, { says: string; troubles: readonly Trouble[] }> = {
  'answers-500': {
    says: 'answers 500 and 503 for longer than one request is tried',
    troubles: [
      { operation: 'UploadPart', fault: answers(500, 'InternalError'), times: 9 },
      { operation: 'CompleteMultipartUpload', fault: answers(503, 'SlowDown'), times: 5 },
      { operation: 'GetObject', file: 'dump.rdb', fault: answers(500, 'InternalError'), times: 5 },
    ],
  },
  'loses-answers': {
    says: 'does what it is asked and answers 500',
    troubles: [
      { operation: 'CreateMultipartUpload', fault: losesAnswer(), times: 1 },
      { operation: 'UploadPart', fault: losesAnswer(), times: 1 },
      { operation: 'CompleteMultipartUpload', fault: losesAnswer(), times: 1 },
      { operation: 'PutObject', file: 'server.json', fault: losesAnswer(), times: 1 },
      { operation: 'PutObject', file: 'manifest.json', fault: losesAnswer(), times: 1 },
    ],
  },
  slow: {
    says: 'takes longer for an answer than a step may be silent',
    troubles: [
      { operation: 'PutObject', file: 'dump.rdb', fault: waits(SLOWER_THAN_A_HEARTBEAT_MS), times: 1 },
      { operation: 'GetObject', file: 'dump.rdb', fault: waits(SLOWER_THAN_A_HEARTBEAT_MS), times: 1 },
      { operation: 'PutObject', file: 'manifest.json', fault: waits(SLOWER_THAN_A_HEARTBEAT_MS), times: 1 },
    ],
  },
  drops: {
    says: 'drops the connection in the middle of parts and of the download',
    troubles: [
      { operation: 'UploadPart', fault: dropsUploadAfter(1_000_000), times: 3 },
      { operation: 'CompleteMultipartUpload', fault: drops, times: 1 },
      { operation: 'GetObject', file: 'dump.rdb', fault: dropsDownloadAfter(1_000_000), times: 3 },
      { operation: 'PutObject', file: 'manifest.json', fault: drops, times: 2 },
    ],
  },
  swallows: {
    says: 'accepts the dump and does not have it',
    troubles: [{ operation: 'PutObject', file: 'dump.rdb', fault: swallows(), times: 1 }],
  },
};

describe.concurrent('a store that', () => {
  let proxy: S3FaultProxy;
  let on: S3Deployment;

  beforeAll(async () => {
    const names = [...Object.keys(troubles), ...Object.keys(betrayals)];
    const servers = await Promise.all(
      names.map(async (name): Promise<[string, RedisServer]> => {
        const redis = await startRedis({ config: { rdbcompression: 'no' } });
        await (large.has(name) ? fillMegabytes(redis, MEGABYTES) : fillEveryType(redis));
        return [name, redis];
      }),
    );
    proxy = await startS3FaultProxy(inject('minio').endpoint);
    on = await startOnS3({ servers: Object.fromEntries(servers), endpoint: proxy.endpoint });
  });
  afterAll(async () => {
    await on?.stop();
    await proxy?.stop();
  });

  /** Breaks what the first trouble that is left and fits says; all else goes by. */
  function make(instance: string, all: readonly Trouble[]): void {
    proxy.fail(
      '*',
      async (exchange) => {
        const { operation, url } = exchange.seen;
        const trouble = all.find(
          (each) => each.operation === operation && each.times > 0 && url.includes(each.file ?? ''),
        );
        if (!trouble) return exchange.answer(await exchange.forward());
        trouble.times -= 1;
        return trouble.fault(exchange);
      },
      { key: `/${instance}/` },
    );
  }

  it.for(Object.entries(troubles).map(([instance, trouble]) => ({ instance, ...trouble })))(
    '$says: the backup is verified all the same',
    async ({ instance, troubles: all }) => {
      const around = await lookAround(on.scene(instance));
      make(instance, all);
      const { backup } = await on.deployment.backup(instance);
      expect(backup).toMatchObject({ state: 'verified' });
      expect(all.filter(({ times }) => times > 0)).toEqual([]);
      await around.nothingIsLeft();
      await around.nextRunSucceeds();
    },
  );

  it.for(Object.entries(betrayals))(
    'a dump %s between upload and check: the run says so and leaves no half of a backup',
    async ([instance, { betray, code }]) => {
      const around = await lookAround(on.scene(instance));
      const run = await on.deployment.startBackup(instance);
      const client = s3Client(on.store);
      let betrayed = false;
      proxy.fail(
        'HeadObject',
        async (exchange) => {
          const [, ...key] = new URL(exchange.seen.url, proxy.endpoint).pathname.slice(1).split('/');
          const isUploaded = (await stepsOf(run)).some(({ step }) => step === 'verifyUpload');
          if (isUploaded && !betrayed && key.at(-1) === 'dump.rdb') {
            betrayed = true;
            await betray(client, { Bucket: on.store.bucket, Key: key.join('/') });
          }
          await exchange.answer(await exchange.forward());
        },
        { key: `/${instance}/` },
      );
      expect(await failureOf(run)).toMatchObject({ code });
      client.destroy();
      await around.nothingIsLeft();
      await around.nextRunSucceeds();
    },
  );
});

interface ObjectName {
  readonly Bucket: string;
  readonly Key: string;
}

/** What a store does to a dump that it had whole, by the name of the instance that it does it to. */
const betrayals: Record<string, { betray(client: S3Client, name: ObjectName): Promise<unknown>; code: string }> = {
  vanishes: { betray: (client, name) => client.send(new DeleteObjectCommand(name)), code: 'OBJECT_MISSING' },
  shrinks: {
    betray: async (client, name) => {
      const { Body, SSEKMSKeyId } = await client.send(new GetObjectCommand(name));
      const whole = (await Body?.transformToByteArray()) as Uint8Array;
      const half = whole.subarray(0, whole.length / 2);
      await client.send(new PutObjectCommand({ ...name, Body: half, ServerSideEncryption: 'aws:kms', SSEKMSKeyId }));
    },
    code: 'OBJECT_DIFFERS',
  },
};
