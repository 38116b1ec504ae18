import { join } from 'node:path';
import { closeLosses } from '../archive/loss/loss-record.ts';
import { asOwnChange } from '../archive/loss/own-change.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import { flushesInLiveAof } from '../incident/evidence/live-aof.ts';
import { findLossKind, type LossKind } from '../incident/evidence/loss-kind.ts';
import { type FlushEvidence, whoFlushed } from '../incident/evidence/who-flushed.ts';
import type { IncidentReport } from '../incident/report/incident-report.ts';
import { type StoredReport, storeReport } from '../incident/report/store-report.ts';
import { withRedis } from '../redis/connection.ts';
import { loginOf, untilFencedAgain } from '../restore/migrate-keys.ts';
import type { RestorePoint } from '../restore/restore-point.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { restoreFolder, stageDump } from '../restore/staged-dump.ts';
import { swapBack } from '../restore/swap-back.ts';
import { runStep } from './step.ts';

type Subject = Pick<RestoreSubject, 'instance' | 'policyDigest'>;

/** What happened, as far as the server itself and the last backup can tell. */
export function evidenceActivities(contextOf: (subject: Subject) => Promise<InstanceContext>) {
  return {
    /** When and by whom keys were destroyed. Changes nothing. */
    gatherEvidence: (subject: Subject): Promise<FlushEvidence> =>
      runStep(async (io) => {
        const { target, policy } = await contextOf(subject);
        return withRedis(target, async (redis) => {
          // An archive has been told already, to the byte.
          const isHere = policy.source === 'agent' && !policy.archive;
          const aof = isHere ? await flushesInLiveAof(redis, io) : undefined;
          return whoFlushed(redis, aof ? { aof } : {});
        });
      }),

    /** What kind of loss it is, and so what has to be put back. */
    findLossKind: (subject: RestoreSubject, point: RestorePoint, evidence: FlushEvidence): Promise<LossKind> =>
      runStep(async (io) => {
        const { target, repository, home } = await contextOf(subject);
        const path = await stageDump(repository, restoreFolder(home, subject.restoreId), point, io);
        return withRedis(target, (redis) => findLossKind(redis, { path }, evidence.since, io));
      }),

    /** Undoes a SWAPDB; where it is undone already, nothing happens. */
    swapBack: (subject: RestoreSubject, databases: readonly [number, number], wanted: number): Promise<boolean> =>
      runStep(async () => {
        const context = await contextOf(subject);
        const login = await loginOf(context, subject);
        const journal = join(restoreFolder(context.home, subject.restoreId), 'swap-back.json');
        const swap = () => withRedis(login, (redis) => swapBack(redis, databases, wanted, journal));
        return asOwnChange(context, 'undo', swap).catch((error: unknown) => {
          throw subject.fenceId === undefined ? error : untilFencedAgain(error);
        });
      }),
  };
}

/** The report of an incident, in the repository: losing Temporal loses none. */
export function reportActivities(contextOf: (subject: Subject) => Promise<InstanceContext>) {
  return {
    storeReport: (subject: Subject, report: IncidentReport): Promise<StoredReport> =>
      runStep(async () => {
        const { repository, policy } = await contextOf(subject);
        const stored = await storeReport(repository, report);
        // A person has decided: what was noticed by then is closed, and holds no moment any more.
        if (policy.archive && closes(report)) {
          await closeLosses(repository, subject.instance, Date.parse(report.endedAt));
        }
        return stored;
      }),
  };
}

/** What was flushed was brought back, or somebody has looked at it and wants it as it is; other losses are brought back. */
function closes({ kind, outcome }: IncidentReport): boolean {
  const done = ['recovered', 'recovered-in-part', 'nothing-to-do'].includes(outcome);
  return done || (kind === 'accidental-flush' && (outcome === 'rejected' || outcome === 'aborted'));
}

export type EvidenceActivities = ReturnType<typeof evidenceActivities>;
export type ReportActivities = ReturnType<typeof reportActivities>;
