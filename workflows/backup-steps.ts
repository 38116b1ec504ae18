import { proxyActivities } from '@temporalio/workflow';
import type { CatalogueActivities, PublishRequest } from '../activities/catalogue.ts';
import type { DumpActivities } from '../activities/dump.ts';
import type { PolicyActivities } from '../activities/policy.ts';
import type { SaveActivities } from '../activities/save.ts';
import type { Pin } from '../backup/pin.ts';
import type { PreflightReport } from '../backup/preflight.ts';
import type { BackupOutcome } from '../backup/prune.ts';
import type { StoredBackupObject } from '../backup/store.ts';
import type { BackupSubject } from '../backup/subject.ts';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import type { SaveStart } from '../redis/save.ts';
import type { UploadCursor } from '../repository/repository.ts';
import type { DumpFacts } from '../sandbox/dump-facts.ts';
import type { ProofReport } from '../sandbox/prove.ts';
import { megabytes, seconds } from './figures.ts';
import { hostSteps } from './on-host.ts';
import { patienceOf } from './patience.ts';
import { loadAndVerify } from './proof-step.ts';
import type { RunStory } from './run-story.ts';

/** The first activity of every run: what the configuration says, without secrets, and its digest. */
export const { readPolicy } = proxyActivities<PolicyActivities>({
  startToCloseTimeout: '30s',
  heartbeatTimeout: '10s',
  retry: { initialInterval: '1s', maximumInterval: '10s' },
});

export type BackupSteps = ReturnType<typeof backupSteps>;

/** Every step of a backup under the name that operators look for, where it runs, and what it tells when it is done. */
export function backupSteps(policy: InstancePolicy, story: RunStory) {
  const patience = patienceOf(policy);
  const host = proxyActivities<SaveActivities & DumpActivities>({ ...patience, taskQueue: policy.hostQueue });
  const orchestrator = proxyActivities<CatalogueActivities & Pick<DumpActivities, 'prune'>>({
    ...patience,
    taskQueue: 'rewind',
  });

  const onHost = hostSteps(policy, story);

  return {
    async preflight(subject: BackupSubject) {
      const report = await onHost('preflight', () =>
        host.preflight.executeWithOptions({ activityId: 'preflight', summary: `can ${policy.instance} be saved?` }, [
          subject,
        ]),
      );
      story.tell(
        `${report.server.name} ${report.server.version}, about ${report.keys} keys; the dump is had ${report.why}`,
      );
      for (const finding of report.findings) story.tell(finding);
      return report;
    },

    async bgsave(subject: BackupSubject, attempt: number) {
      return onHost('bgsave', () =>
        host.bgsave.executeWithOptions({ activityId: numbered('bgsave', attempt), summary: 'ask Redis for a save' }, [
          subject,
        ]),
      );
    },

    async waitForBgsave(subject: BackupSubject, start: SaveStart, attempt: number) {
      const end = await onHost('waitForBgsave', () =>
        host.waitForBgsave.executeWithOptions(
          { activityId: numbered('waitForBgsave', attempt), summary: 'until the dump is whole on Redis’ disk' },
          [subject, start],
        ),
      );
      story.tell(`saved in ${seconds((end.endedAt - start.startedAt) * 1000)}`);
      return end;
    },

    async bgrewriteaof(subject: BackupSubject) {
      const { asked } = await onHost('bgrewriteaof', () =>
        host.bgrewriteaof.executeWithOptions({ summary: 'rewrite the append-only file after the save' }, [subject]),
      );
      story.tell(asked ? 'asked for a rewrite of the append-only file' : 'no append-only file to rewrite');
    },

    async pin(subject: BackupSubject, preflight: PreflightReport, start: SaveStart, attempt: number) {
      const pin = await onHost('pin', () =>
        host.pin.executeWithOptions(
          { activityId: numbered('pin', attempt), summary: 'hold the bytes that were written' },
          [subject, { ...preflight.dump!, startedAt: start.startedAt }],
        ),
      );
      story.tell(`pinned ${megabytes(pin.sizeBytes)}`);
      return pin;
    },

    async checkRdb(subject: BackupSubject, pin: Pin, start: SaveStart) {
      const checked = await onHost('checkRdb', () =>
        host.checkRdb.executeWithOptions({ summary: `walk ${megabytes(pin.sizeBytes)}` }, [subject, pin, start]),
      );
      story.tell(`walked ${checked.facts.keys} keys`, { done: checked.facts.keys, unit: 'keys' });
      return checked;
    },

    async upload(subject: BackupSubject, pin: Pin, ahead: UploadCursor | undefined) {
      const object = await onHost('upload', () =>
        host.upload.executeWithOptions({ summary: `${megabytes(pin.sizeBytes)} to ${policy.repository.url}` }, [
          subject,
          pin,
          ahead,
        ]),
      );
      story.tell(`stored ${megabytes(object.dump.sizeBytes)}`, { done: object.dump.sizeBytes, unit: 'bytes' });
      return object;
    },

    async replicate(subject: BackupSubject, preflight: PreflightReport) {
      const replicated = await onHost('replicate', () =>
        host.replicate.executeWithOptions(
          { activityId: 'replicate', summary: 'the dump over a replication link, straight to the repository' },
          [subject, preflight],
        ),
      );
      story.tell(`replicated ${replicated.facts.keys} keys, ${megabytes(replicated.object.dump.sizeBytes)}`);
      return replicated;
    },

    async verifyUpload(subject: BackupSubject, object: StoredBackupObject) {
      const check = await onHost('verifyUpload', () =>
        host.verifyUpload.executeWithOptions({ activityId: 'verifyUpload', summary: 'is it there as asked for?' }, [
          subject,
          object,
        ]),
      );
      story.tell(check.detail);
      return check;
    },

    loadAndVerify: (subject: BackupSubject, facts: DumpFacts, { dump }: StoredBackupObject): Promise<ProofReport> =>
      loadAndVerify(policy, { id: subject.backupId, key: dump.key, sizeBytes: dump.sizeBytes, facts }, story),

    async publish(request: PublishRequest) {
      story.step('publish');
      const backup = await orchestrator.publish.executeWithOptions(
        { activityId: 'publish', summary: 'the verdict and the manifest' },
        [request],
      );
      story.tell(
        `backup ${backup.id} ${backup.state}: ${backup.keys} keys${backup.reason ? ` (${backup.reason})` : ''}`,
      );
      if (backup.flagged) story.tell(`FLAGGED: ${backup.flagged}`);
      return backup;
    },

    async prune(subject: BackupSubject, outcome: BackupOutcome): Promise<void> {
      const summary = 'the pin, and what crashed runs left';
      try {
        await host.prune.executeWithOptions({ summary }, [subject, outcome]);
      } catch {
        story.tell('The agent did not answer the clean-up; the next run removes what is left on its host.');
        // Nobody would look for this run's half-made objects again: the store can be reached from here, too.
        if (outcome.stored) return;
        await orchestrator.prune.executeWithOptions({ summary }, [subject, outcome]).catch(() => {
          story.tell('Nor could its objects be removed from the store; a later run does it.');
        });
      }
    },
  };
}

const numbered = (step: string, attempt: number): string => (attempt === 1 ? step : `${step}-${attempt}`);
