import { isCancellation, proxyActivities } from '@temporalio/workflow';
import type { ArchiveReadActivities } from '../activities/archive-read.ts';
import type { CompareActivities } from '../activities/compare.ts';
import type { RestoreActivities } from '../activities/restore.ts';
import type { FindPointActivities } from '../activities/restore-point.ts';
import type { RestoredFilesActivities } from '../activities/restored-files.ts';
import type { Moment } from '../archive/read/moment.ts';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import type { CompareRequest, Comparison } from '../restore/compare-restored.ts';
import type { Migration } from '../restore/migrate-keys.ts';
import type { OfferedServer } from '../restore/offer-server.ts';
import type { RestorePlan } from '../restore/plan-restore.ts';
import type { ArchivePoint, RestorePoint } from '../restore/restore-point.ts';
import type { RestoreInput, RestoreRequest } from '../restore/restore-request.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import type { StagedFacts } from '../restore/staged-facts.ts';
import type { TargetFacts } from '../restore/target-facts.ts';
import { sentenceOf } from './failure-code.ts';
import { megabytes } from './figures.ts';
import { hostSteps } from './on-host.ts';
import { patienceOf } from './patience.ts';
import type { RunStory } from './run-story.ts';

export type RestoreSteps = ReturnType<typeof restoreSteps>;

/** Every step of a restore under the name that operators look for, where it runs, and what it tells when it is done. */
export function restoreSteps(source: InstancePolicy, target: InstancePolicy, story: RunStory) {
  const orchestrator = proxyActivities<FindPointActivities & Pick<RestoreActivities, 'readRequest' | 'planRestore'>>({
    ...patienceOf(source),
    taskQueue: 'rewind',
  });
  const host = proxyActivities<
    RestoreActivities &
      CompareActivities &
      Pick<RestoredFilesActivities, 'placeFiles'> &
      Pick<ArchiveReadActivities, 'placeMoment'>
  >({
    ...patienceOf(target),
    taskQueue: target.hostQueue,
  });
  const sandbox = proxyActivities<
    Pick<RestoredFilesActivities, 'startSandbox'> & Omit<ArchiveReadActivities, 'placeMoment'>
  >({
    ...patienceOf(source),
    taskQueue: 'rewind-sandbox',
  });

  function lookAtTarget(subject: RestoreSubject): Promise<TargetFacts> {
    return host.surveyTarget.executeWithOptions({ summary: `how is ${target.instance} now?` }, [subject]);
  }

  const onHost = hostSteps(target, story);

  return {
    async readRequest(input: RestoreInput): Promise<RestoreRequest> {
      story.step('readRequest');
      return orchestrator.readRequest.executeWithOptions({ summary: 'what is asked for?' }, [input]);
    },

    async findBackup(to: string, before?: string): Promise<RestorePoint> {
      story.step('findBackup');
      const wanted = { instance: source.instance, policyDigest: source.digest, to, before };
      const summary = `which backup is ${to}?`;
      // Without `moments` it is always a backup.
      const point = (await orchestrator.findBackup.executeWithOptions({ summary }, [wanted])) as RestorePoint;
      story.tell(sentenceOfPoint(point));
      return point;
    },

    /** A backup, or a moment of the archive, whatever `to` means. */
    async findPoint(
      to: string,
      options: { timeline?: number; before?: string; lossNotBefore?: string } = {},
    ): Promise<RestorePoint | ArchivePoint> {
      story.step('findBackup');
      const wanted = { instance: source.instance, policyDigest: source.digest, to, ...options, moments: true };
      const summary = `which backup or moment is ${to}?`;
      const point = await orchestrator.findBackup.executeWithOptions({ summary }, [wanted]);
      if (!('moment' in point)) story.tell(sentenceOfPoint(point));
      else for (const sentence of sentencesOfMoment(point.moment)) story.tell(sentence);
      return point;
    },

    /** Makes a moment a backup. The same moment of the same run is the same backup. */
    async materializeMoment(moment: Moment, at: string): Promise<RestorePoint> {
      story.step('materializeMoment');
      const made = await sandbox.materializeMoment.executeWithOptions(
        { activityId: 'materializeMoment', summary: 'the moment becomes a backup, proven as any other' },
        [moment, at],
      );
      story.tell(`the moment is the backup ${made.id}, ${made.state}: ${made.keys} keys`);
      return this.findBackup(made.id);
    },

    async proveMoment(moment: Moment) {
      story.step('proveMoment');
      const loaded = await sandbox.proveMoment.executeWithOptions(
        { activityId: 'proveMoment', summary: 'does a server start from it?' },
        [moment],
      );
      story.tell(
        `${loaded.server.name} ${loaded.server.version} started from it in ${loaded.loadMs} ms: ${loaded.keys} keys`,
      );
      return loaded;
    },

    async startMoment(restoreId: string, moment: Moment) {
      story.step('startMoment');
      const started = await sandbox.startMoment.executeWithOptions(
        { activityId: 'startMoment', summary: 'a server of our own that started from it' },
        [{ restoreId, moment }],
      );
      story.tell(
        `a server with the data is at ${started.url} until ${started.until}; its password is in ${started.passwordFile}`,
      );
      return started;
    },

    placeMoment: (subject: RestoreSubject, dir: string, moment: Moment) =>
      onHost('placeMoment', async () => {
        const placed = await host.placeMoment.executeWithOptions({ summary: 'files ready for a redis-server' }, [
          subject,
          dir,
          moment,
        ]);
        story.tell(`files are in ${placed.path}`);
        return placed;
      }),

    surveyTarget: (subject: RestoreSubject): Promise<TargetFacts> =>
      onHost('surveyTarget', async () => {
        const facts = await lookAtTarget(subject);
        story.tell(`${facts.server.name} ${facts.server.version} at ${facts.address}: ${facts.keys} keys live`);
        return facts;
      }),

    /** The same again and again while a gate waits: no step of the story. */
    lookAtTarget,

    stageDump: (
      subject: RestoreSubject,
      request: RestoreRequest,
      point: RestorePoint,
      facts: TargetFacts | undefined,
    ): Promise<StagedFacts> =>
      onHost('stageDump', async () => {
        const staged = await host.stageDump.executeWithOptions(
          { summary: `${megabytes(point.sizeBytes)} from ${source.repository.url}` },
          [subject, request, point, facts],
        );
        story.tell(`the dump is here and whole; ${staged.selected.keys} of its ${point.keys} keys are meant`);
        return staged;
      }),

    planRestore: (
      request: RestoreRequest,
      point: RestorePoint,
      staged: StagedFacts | undefined,
      facts: TargetFacts | undefined,
    ): Promise<RestorePlan> =>
      orchestrator.planRestore.executeWithOptions({ summary: 'how is it done, and what goes?' }, [
        request,
        point,
        staged,
        facts,
      ]),

    migrateKeys: (subject: RestoreSubject, migration: Migration) =>
      onHost('migrateKeys', async () => {
        const migrated = await host.migrateKeys.executeWithOptions(
          { summary: `keys of ${migration.point.id} into ${target.instance}` },
          [subject, migration],
        );
        const { restored, kept, replaced, expired } = migrated.figures;
        story.tell(`${restored} keys put back, ${kept} live ones kept, ${replaced} replaced, ${expired} had expired`, {
          done: restored + replaced,
          unit: 'keys',
        });
        return migrated;
      }),

    streamAsPrimary: (subject: RestoreSubject, point: RestorePoint, staged: StagedFacts) =>
      onHost('streamAsPrimary', async () => {
        const migrated = await host.streamAsPrimary.executeWithOptions(
          { summary: `all of ${target.instance} becomes ${point.id}` },
          [subject, point, staged],
        );
        const { restored, replaced } = migrated.figures;
        story.tell(`${restored} keys are there, ${replaced} that were live have gone`);
        return migrated;
      }),

    /** Never in the way of a restore that is done: where it cannot be told, that is told. */
    async offerServer(subject: RestoreSubject, point: RestorePoint): Promise<OfferedServer | undefined> {
      try {
        return await onHost('offerServer', async () => {
          const offered = await host.offerServer.executeWithOptions(
            { summary: `users and settings of ${target.instance}, beside those of the backup` },
            [subject, point],
          );
          if (!offered) return undefined;
          const { users, settings, key } = offered;
          story.tell(
            `${users} users and ${settings} settings are other than in the backup; nothing of it was applied: ${key}`,
          );
          return offered;
        });
      } catch (error) {
        if (isCancellation(error)) throw error;
        story.tell(`Users and settings could not be compared with those of the backup: ${sentenceOf(error)}`);
        return undefined;
      }
    },

    placeFiles: (subject: RestoreSubject, dir: string, point: RestorePoint) =>
      onHost('placeFiles', async () => {
        const placed = await host.placeFiles.executeWithOptions({ summary: 'files ready for a redis-server' }, [
          subject,
          dir,
          point,
        ]);
        story.tell(`files are in ${placed.path}`);
        return placed;
      }),

    async startSandbox(restoreId: string, point: RestorePoint) {
      story.step('startSandbox');
      const started = await sandbox.startSandbox.executeWithOptions(
        { activityId: 'startSandbox', summary: `a server of our own with ${point.id}` },
        [{ restoreId, point }],
      );
      story.tell(
        `a server with the data is at ${started.url} until ${started.until}; its password is in ${started.passwordFile}`,
      );
      return started;
    },

    compareRestored: (subject: RestoreSubject, asked: Omit<CompareRequest, 'kind'>): Promise<Comparison> =>
      onHost('compareRestored', async () => {
        const comparison = await host.compareRestored.executeWithOptions({ summary: 'a sample, by content' }, [
          subject,
          asked,
        ]);
        for (const sentence of comparison.tells) story.tell(sentence);
        return comparison;
      }),

    compareAll: (subject: RestoreSubject, asked: Omit<CompareRequest, 'kind'>): Promise<Comparison> =>
      onHost('compareAll', async () => {
        const comparison = await host.compareAll.executeWithOptions({ summary: 'every key, by content' }, [
          subject,
          asked,
        ]);
        for (const sentence of comparison.tells) story.tell(sentence);
        return comparison;
      }),

    async cleanUpRestore(subject: RestoreSubject): Promise<void> {
      try {
        await host.cleanUpRestore.executeWithOptions({ summary: 'what it had on the disk' }, [subject]);
      } catch {
        story.tell('The agent did not answer the clean-up; the next restore removes what is left on its host.');
      }
    },
  };
}

function sentenceOfPoint({ id, time, state, keys, sizeBytes }: RestorePoint): string {
  return `backup ${id} of ${time}, ${state}: ${keys} keys, ${megabytes(sizeBytes)}`;
}

function sentencesOfMoment({ timeMs, timeline, position, precision, tells }: Moment): string[] {
  const at = new Date(timeMs).toISOString();
  return [`the state as of ${at}, position ${position} of timeline ${timeline} (${precision})`, ...tells];
}
