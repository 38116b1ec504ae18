import { dirname, join } from 'node:path';
import { foundPart } from '../../process/found-parts.ts';
import { backUp, deploy } from './backup-run.ts';
import { findPeer, type Peer, runPeer } from './peers.ts';
import { atMost, compared, megabytes, type Row, table, timed } from './report.ts';
import type { Stage } from './stage.ts';
import { type Contender, inTurn, ratioOf, secondsOf } from './turns.ts';

/** What a history may grow to. */
const EVENTS = 110;
const BYTES = 40_000;

/** A backup through Temporal on real workers, the save included and the proof left out, beside WAL-G. */
export async function benchWholeBackup(stage: Stage, rounds: number): Promise<string> {
  const { redis, sizeBytes } = await stage.mixedSet();
  const minio = await stage.minio();
  // No sandbox: the proof is given up at once, so that it takes nothing from what is measured.
  const deployment = await deploy(stage, redis, ['orchestrator', 'host'], { roleSilence: '3s' });
  const stored: number[] = [];
  let events = 0;
  let bytes = 0;
  const ours: Contender = {
    name: 'scheduledBackup, without the time of `loadAndVerify`',
    once: async (round) => {
      const run = await backUp(deployment);
      events = Math.max(events, run.historyEvents);
      bytes = Math.max(bytes, run.historyBytes);
      const proof = run.step('loadAndVerify');
      if (round > 0) stored.push((run.step('verifyUpload').endedAt - run.step('waitForBgsave').endedAt) / 1000);
      return (run.endedAt - run.startedAt - (proof.endedAt - proof.askedAt)) / 1000;
    },
  };
  const walG = await findPeer('wal-g');
  const peers = typeof walG === 'string' ? [] : [walGBackup(walG, redis.port, minio)];
  const [mine, theirs] = await inTurn([ours, ...peers], rounds).finally(() => deployment.stop());
  const rows: Row[] = [
    { what: ours.name, figure: timed(mine!) },
    {
      what: 'of it, from “save ended” to “present and checked in S3”',
      figure: timed({ name: 'stored', seconds: stored }),
    },
  ];
  if (typeof walG === 'string') rows.push({ what: walG, figure: '' });
  if (theirs) {
    const ratio = ratioOf(mine!, theirs);
    const goal = { met: ratio < 1, text: '< 1' };
    rows.push({ what: `\`${theirs.name}\``, figure: timed(theirs), ratio: compared(mine!, theirs), goal });
  }
  rows.push(
    { what: 'events of its history', figure: `${events}`, goal: atMost(events, EVENTS) },
    { what: 'bytes of its history', figure: `${bytes}`, goal: atMost(bytes, BYTES) },
  );
  return table(`Whole backup: ${megabytes(sizeBytes)}, save included, proof left out, ${rounds} rounds in turn`, rows);
}

/** As its manual sets it up: the dump comes from redis-cli, is compressed by LZ4 and stored under the same key. */
export function walGBackup(
  peer: Peer,
  port: number,
  minio: { bucket: string; endpoint: string; kmsKeyId: string; region: string; env: Readonly<Record<string, string>> },
): Contender {
  const redisCli = join(dirname(foundPart('redis').path), 'redis-cli');
  const env = {
    ...minio.env,
    WALG_S3_PREFIX: `s3://${minio.bucket}/wal-g`,
    AWS_ENDPOINT: minio.endpoint,
    AWS_S3_FORCE_PATH_STYLE: 'true',
    S3_SSE: 'aws:kms',
    S3_SSE_KMS_ID: minio.kmsKeyId,
    WALG_STREAM_CREATE_COMMAND: `${redisCli} -p ${port} --rdb -`,
    WALG_REDIS_HOST: '127.0.0.1',
    WALG_REDIS_PORT: String(port),
  };
  return { name: peer.name, once: () => secondsOf(() => runPeer(peer, ['backup-push'], env)) };
}
