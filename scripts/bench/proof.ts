import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { inspectRdb } from '../../rdb/inspect.ts';
import { factsOf } from '../../sandbox/dump-facts.ts';
import { proveStored } from '../../sandbox/prove.ts';
import { s3Client } from '../../test/support/s3-store.ts';
import { startRedis } from '../../test/support/servers.ts';
import { sandboxSettings } from '../../workers/sandbox.ts';
import { atMost, compared, megabytes, table, timed } from './report.ts';
import type { Stage } from './stage.ts';
import { type Contender, inTurn, ratioOf, secondsOf } from './turns.ts';

const io = { signal: new AbortController().signal, onProgress: () => undefined };
const loadTimeoutMs = 10 * 60_000;

/** The proof of a stored dump, beside what no proof can do without: to fetch the file and to have a server load it. */
export async function benchProof(stage: Stage, rounds: number): Promise<string> {
  const { redis, path, sizeBytes, keys } = await stage.mixedSet();
  const minio = await stage.minio();
  const { config, context, home } = await stage.worker(redis);
  const { repository } = context;
  const key = 'bench/proof.rdb';
  await repository.putFile(key, { path }, { sizeBytes });
  const facts = factsOf(await inspectRdb({ path }));
  const settings = await sandboxSettings(config, home);

  const proof: Contender = {
    name: 'the proof: download, SHA-256, redis-check-rdb, load, counts, sampled keys by content',
    once: (round) =>
      secondsOf(async () => {
        const report = await proveStored(repository, { id: `bench-${round}`, key, sizeBytes, facts }, settings, io);
        const not = report.checks.find(({ result }) => result !== 'ok');
        if (not) throw new Error(`the proof does not hold: ${not.detail}`);
      }),
  };
  const bare: Contender = {
    name: 'a plain download and a native load',
    once: async () => {
      const dir = join(home, 'load');
      await mkdir(dir);
      const client = s3Client(minio);
      const taken = await secondsOf(async () => {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: minio.bucket, Key: `rewind/${key}` }));
        await pipeline(Body as Readable, createWriteStream(join(dir, 'dump.rdb')));
        const server = await startRedis({ dir, timeoutMs: loadTimeoutMs });
        stop = server.stop;
      });
      client.destroy();
      await stop();
      await rm(dir, { recursive: true });
      return taken;
    },
  };
  let stop: () => Promise<void>;
  const [ours, native] = await inTurn([proof, bare], rounds);
  repository.close();
  const ratio = ratioOf(ours!, native!);
  return table(`Proof: ${keys} keys, ${megabytes(sizeBytes)}, ${rounds} rounds in turn`, [
    { what: proof.name, figure: timed(ours!), ratio: compared(ours!, native!), goal: atMost(ratio, 1.5) },
    { what: bare.name, figure: timed(native!) },
  ]);
}
