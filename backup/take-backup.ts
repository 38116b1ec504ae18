import { randomUUID } from 'node:crypto';
import { RewindError } from '../errors/rewind-error.ts';
import { chooseTier } from '../policy/tier.ts';
import type { StepIO } from '../process/step-io.ts';
import { withRedis } from '../redis/connection.ts';
import { withForkTurn } from '../redis/host-forks.ts';
import { startRewrite, startSave } from '../redis/save.ts';
import { latestByTier } from '../repository/catalogue.ts';
import { newBackupId } from '../repository/layout.ts';
import { type ProofSettings, proveStored } from '../sandbox/prove.ts';
import { checkDump } from './check-dump.ts';
import { followSave } from './follow-save.ts';
import type { InstanceContext } from './instance-context.ts';
import { pinDump, pinnedBytes } from './pin.ts';
import { type PreflightReport, preflight } from './preflight.ts';
import { pruneAfterBackup } from './prune.ts';
import { type PublishedBackup, type PublishRequest, publishBackup } from './publish.ts';
import { replicateDump } from './replicate.ts';
import { SAVE_AGAIN, SAVE_ATTEMPTS } from './save-again.ts';
import { confirmStored, storeDump, storeServerDescription } from './store.ts';
import type { BackupSubject } from './subject.ts';

/**
 * One backup in this process, by the same steps as the workflow and in its order. What the workflow adds is that it goes
 * on after a crash; here a crash leaves what the next run removes.
 */
export async function takeBackup(
  context: InstanceContext,
  sandbox: ProofSettings,
  io: StepIO,
): Promise<PublishedBackup> {
  const { policy, repository, target } = context;
  const now = new Date();
  const subject: BackupSubject = {
    instance: policy.instance,
    policyDigest: policy.digest,
    backupId: newBackupId(now, randomUUID()),
    tier: chooseTier(now, await latestByTier(repository, policy.instance)),
  };
  let stored = false;
  let dumpDir: string | undefined;
  try {
    const report = await withRedis(target, (redis) => preflight(redis, context));
    dumpDir = report.dump?.dir;
    await storeServerDescription(context, subject);
    const dump =
      report.source === 'dump-file'
        ? await fromDumpFile(context, subject, report, io)
        : await replicateDump(context, subject, report, io);
    const checks = [...dump.checks, await confirmStored(context, dump.object)];
    const { key, sizeBytes } = dump.object.dump;
    const proof = await proveStored(
      repository,
      { id: subject.backupId, key, sizeBytes, facts: dump.facts },
      sandbox,
      io,
    );
    const published = await publishBackup(context, { subject, preflight: report, dump: { ...dump, checks }, proof });
    stored = true;
    return published;
  } finally {
    await pruneAfterBackup(context, subject, { stored, dumpDir });
  }
}

async function fromDumpFile(
  context: InstanceContext,
  subject: BackupSubject,
  report: PreflightReport,
  io: StepIO,
): Promise<PublishRequest['dump']> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const start = await withRedis(context.target, (redis) =>
        withForkTurn(
          io.signal,
          () =>
            startSave(redis, { signal: io.signal, onAsk: () => undefined, onWait: (note) => io.onProgress({ note }) }),
          { onWait: (note) => io.onProgress({ note }) },
        ),
      );
      const { endedAt, ahead } = await withRedis(context.target, (redis) =>
        followSave(redis, context, subject, start, { ...io, onCursor: () => undefined }),
      );
      const pin = await pinDump(subject.backupId, { ...report.dump!, startedAt: start.startedAt });
      if (context.policy.backup.rewriteAof) {
        await withRedis(context.target, (redis) =>
          withForkTurn(io.signal, () => startRewrite(redis), { onWait: (note) => io.onProgress({ note }) }),
        );
      }
      const bytes = await pinnedBytes(subject.backupId, pin);
      const [checked, object] = await bothOrNeither(
        io.signal,
        (signal) => checkDump(subject.backupId, bytes, start.startedAt, { signal, onProgress: () => undefined }),
        (signal) =>
          storeDump(context, subject, bytes, pin.sizeBytes, {
            ...io,
            signal,
            resumeFrom: ahead,
            onCursor: () => undefined,
          }),
      );
      return { ...checked, object, save: { ...start, endedAt } };
    } catch (error) {
      const again = error instanceof RewindError && SAVE_AGAIN.has(error.code);
      if (!again || attempt === SAVE_ATTEMPTS) throw error;
      await pruneAfterBackup(context, subject, { stored: false, dumpDir: report.dump?.dir });
    }
  }
}

/** Two steps at once. When one fails the other is cancelled and has ended before the clean-up begins beside it. */
async function bothOrNeither<A, B>(
  signal: AbortSignal,
  first: (signal: AbortSignal) => Promise<A>,
  second: (signal: AbortSignal) => Promise<B>,
): Promise<[A, B]> {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const steps = [first(either), second(either)] as const;
  try {
    return await Promise.all(steps);
  } catch (error) {
    failed.abort();
    await Promise.allSettled(steps);
    throw error;
  }
}
