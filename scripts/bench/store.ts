import { randomUUID } from 'node:crypto';
import { checkDump } from '../../backup/check-dump.ts';
import { pinDump, pinnedBytes } from '../../backup/pin.ts';
import { pruneAfterBackup } from '../../backup/prune.ts';
import { confirmStored, storeDump } from '../../backup/store.ts';
import type { BackupSubject } from '../../backup/subject.ts';
import { newBackupId } from '../../repository/layout.ts';
import { findPeer, type Peer, runPeer } from './peers.ts';
import { atMost, compared, type Goal, megabytes, type Row, table, timed } from './report.ts';
import { INSTANCE, type Stage } from './stage.ts';
import { type Contender, inTurn, ratioOf, secondsOf } from './turns.ts';

const nothing = () => undefined;
const io = { signal: new AbortController().signal, onProgress: nothing, onCursor: nothing };

/** From "save ended" to "present and checked in S3", beside programs that only send the file. */
export async function benchStore(stage: Stage, rounds: number): Promise<string> {
  const { redis, path, sizeBytes } = await stage.mixedSet();
  const minio = await stage.minio();
  const { bucket, endpoint, kmsKeyId } = minio;
  const { context } = await stage.worker(redis);
  const { repository } = context;
  const key = () => `bench/${randomUUID()}.rdb`;

  const steps: Contender = {
    name: 'pin, check ‖ upload, verify: as a backup does it',
    once: async () => {
      const subject: BackupSubject = {
        instance: INSTANCE,
        policyDigest: '',
        backupId: newBackupId(new Date(), randomUUID()),
        tier: 'hourly',
      };
      const taken = await secondsOf(async () => {
        const pin = await pinDump(subject.backupId, { dir: redis.dir, dbfilename: 'dump.rdb', startedAt: 0 });
        const bytes = await pinnedBytes(subject.backupId, pin);
        const [, object] = await Promise.all([
          checkDump(subject.backupId, bytes, 0, io),
          storeDump(context, subject, bytes, pin.sizeBytes, io),
        ]);
        await confirmStored(context, object);
      });
      await pruneAfterBackup(context, subject, { stored: false });
      return taken;
    },
  };
  const plain: Contender = {
    name: 'only upload, verify',
    once: async () => {
      const name = key();
      const taken = await secondsOf(async () => {
        const stored = await repository.putFile(name, { path }, { sizeBytes });
        await repository.verifyStored(name, stored);
      });
      await repository.remove(name);
      return taken;
    },
  };
  const target = () => `s3://${bucket}/${key()}`;
  const kms = ['--sse', 'aws:kms', '--sse-kms-key-id', kmsKeyId];
  const [aws, s5cmd] = [await findPeer('aws'), await findPeer('s5cmd')];
  const peer = (found: Peer, args: () => string[], remove: (to: string) => string[]): Contender => ({
    name: found.name,
    once: async () => {
      const all = args();
      const taken = await secondsOf(() => runPeer(found, all, minio.env));
      await runPeer(found, remove(all.at(-1) as string), minio.env);
      return taken;
    },
  });
  const common = ['--endpoint-url', endpoint];
  const peers = [
    typeof aws === 'string'
      ? aws
      : peer(
          aws,
          () => [...common, 's3', 'cp', '--only-show-errors', ...kms, path, target()],
          (to) => [...common, 's3', 'rm', '--only-show-errors', to],
        ),
    typeof s5cmd === 'string'
      ? s5cmd
      : peer(
          s5cmd,
          () => [...common, 'cp', ...kms, path, target()],
          (to) => [...common, 'rm', to],
        ),
  ] as const;

  const timings = await inTurn([steps, plain, ...peers.filter((each) => typeof each !== 'string')], rounds);
  repository.close();
  const [ours, onlyStored, ...theirs] = timings;
  const goals: Record<string, (ratio: number) => Goal> = {
    aws: (ratio) => ({ met: ratio < 1, text: '< 1' }),
    s5cmd: (ratio) => atMost(ratio, 1.1),
  };
  const rows: Row[] = [
    { what: steps.name, figure: timed(ours!) },
    { what: plain.name, figure: timed(onlyStored!) },
    ...theirs.map((their): Row => {
      const ratio = ratioOf(ours!, their);
      return {
        what: `\`${their.name}\``,
        figure: timed(their),
        ratio: `${compared(ours!, their)}; only upload, verify: ${compared(onlyStored!, their)}`,
        goal: goals[their.name.split(' ')[0]!]?.(ratio),
      };
    }),
    ...peers.filter((each) => typeof each === 'string').map((sentence): Row => ({ what: sentence, figure: '' })),
  ];
  return table(`Store: ${megabytes(sizeBytes)} to MinIO under aws:kms, ${rounds} rounds in turn`, rows);
}
