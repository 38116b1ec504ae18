import { proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { ReportActivities } from '../activities/incident.ts';
import type { IncidentReport } from '../incident/report/incident-report.ts';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import type { Comparison } from '../restore/compare-restored.ts';
import { failureCode, sentenceOf } from './failure-code.ts';
import type { Gates } from './gate.ts';
import type { Decision } from './gate-record.ts';
import { patienceOf } from './patience.ts';
import type { RunStory } from './run-story.ts';

type Outcome = IncidentReport['outcome'];

/** How each way in which a run can end without having done its work is called in the report. */
const OUTCOMES: Readonly<Record<string, Outcome>> = {
  GATE_REJECTED: 'rejected',
  GATE_TIMED_OUT: 'timed-out',
  ABORTED: 'aborted',
};

/** Everything about an incident that the post-mortem will want: written down while it goes on, stored at its end. */
export class IncidentLog {
  readonly #policy: InstancePolicy;
  readonly #story: RunStory;
  readonly #gates: Gates;
  readonly #kind: IncidentReport['kind'];
  #revision = 0;
  backup?: string;
  loss: IncidentReport['loss'] = { lost: [], unknown: [] };
  figures: IncidentReport['figures'] = {};
  readonly comparisons: IncidentReport['comparisons'] = [];
  readonly files: IncidentReport['files'] = [];
  readonly openPoints: string[] = [];

  constructor(policy: InstancePolicy, story: RunStory, gates: Gates, kind: IncidentReport['kind']) {
    this.#policy = policy;
    this.#story = story;
    this.#gates = gates;
    this.#kind = kind;
  }

  compared(comparison: Comparison | undefined): void {
    if (!comparison) return;
    const { kind, figures, contradiction, tells, file } = comparison;
    const { same, differing, missing, changedSince, goneSince } = figures;
    const different = differing + missing + changedSince + goneSince;
    this.comparisons.push({
      name: kind,
      result: contradiction === undefined && different === 0 ? 'equal' : 'different',
      detail: tells.join(' ').slice(0, 4_000),
      at: new Date().toISOString(),
      keysCompared: same + different,
      keysDifferent: different,
      ...(file ? { file } : {}),
    });
  }

  /** Stores what is known now; each call is the next revision. @returns its name in the repository */
  async store(outcome: Outcome, summary: string): Promise<string> {
    const { storeReport } = proxyActivities<ReportActivities>({ ...patienceOf(this.#policy), taskQueue: 'rewind' });
    const { instance, digest } = this.#policy;
    const { workflowId, runId, startTime } = workflowInfo();
    this.#revision += 1;
    const stored = await storeReport.executeWithOptions({ summary: 'what happened, for the post-mortem' }, [
      { instance, policyDigest: digest },
      {
        formatVersion: 1,
        id: reportId(startTime, runId),
        revision: this.#revision,
        instance,
        kind: this.#kind,
        workflowId,
        runId,
        outcome,
        summary: summary.slice(0, 4_000),
        startedAt: startTime.toISOString(),
        endedAt: new Date().toISOString(),
        backup: this.backup,
        steps: this.#steps(),
        found: this.#story.told.map((line) => line.slice(0, 4_000)).slice(0, 500),
        loss: this.loss,
        decisions: (await this.#gates.recorded()).map(asReported).slice(0, MOST_DECISIONS),
        figures: this.figures,
        comparisons: this.comparisons,
        files: this.files,
        openPoints: this.openPoints,
      },
    ]);
    return stored.markdown;
  }

  /** How a run that ends with an error is called. */
  static outcomeOf(error: unknown, cancelled: boolean): Outcome {
    return cancelled ? 'cancelled' : (OUTCOMES[failureCode(error)] ?? 'failed');
  }

  static summaryOf(error: unknown): string {
    return sentenceOf(error);
  }

  #steps(): IncidentReport['steps'] {
    const { steps } = this.#story;
    return steps.slice(0, 500).map(({ name, startedAt }, index) => {
      const endedAt = steps[index + 1]?.startedAt ?? new Date().toISOString();
      return { name, startedAt, endedAt, result: 'done' as const };
    });
  }
}

/** As `incidentId` makes it: the time of the start, and what no other run has. A run's id begins with random digits. */
function reportId(startTime: Date, runId: string): string {
  const time = startTime.toISOString().replace(/[-:]/g, '').replace(/\.\d+/, '');
  return `${time}-${runId.replace(/[^0-9a-f]/g, '').slice(-12)}`;
}

/** What a report holds of them; a run that was asked more often than that has its history, too. */
const MOST_DECISIONS = 100;

function asReported({ at, what, gate, plan, message, answer }: Decision): IncidentReport['decisions'][number] {
  return {
    at,
    what,
    gate,
    plan,
    message: message.slice(0, 4_000),
    ...(answer
      ? {
          answer: {
            kind: answer.kind,
            accepted: answer.accepted,
            approver: answer.approver,
            identity: answer.identity,
            choice: answer.choice,
            reason: answer.reason,
            planNamed: answer.planNamed,
            eventId: answer.eventId,
          },
        }
      : {}),
  };
}
