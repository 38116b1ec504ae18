import { isCancellation, patched, proxyActivities, TemporalFailure, uuid4, workflowInfo } from '@temporalio/workflow';
import type { FlushReplayActivities } from '../activities/flush-replay.ts';
import type { ReplaySurvey } from '../incident/flush/survey-replay.ts';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import type { RestorePlan } from '../restore/plan-restore.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import type { TargetFacts } from '../restore/target-facts.ts';
import { refuseOrGo, sentenceOf } from './failure-code.ts';
import type { FlushFinding } from './flush-finding.ts';
import type { Gates } from './gate.ts';
import type { IncidentLog } from './incident-log.ts';
import { hostSteps } from './on-host.ts';
import { withPatience } from './park.ts';
import { patienceOf } from './patience.ts';
import type { PlannedRestore } from './put-back.ts';
import type { RestoreSteps } from './restore-steps.ts';
import type { RunStory } from './run-story.ts';

interface Surroundings {
  readonly gates: Gates;
  readonly story: RunStory;
  readonly steps: RestoreSteps;
}

/**
 * History without that command: everything that was written before it and after it, replayed in a sandbox and put in the
 * place of what is live. Absent in runs that were begun before there was such a choice.
 *
 * @param asked what the run was started with: a replay that was asked for is laid down and proven before the gate
 */
export async function findReplay(
  around: Surroundings,
  policy: InstancePolicy,
  subject: RestoreSubject,
  found: FlushFinding,
  asked: string | undefined,
): Promise<FlushReplay | undefined> {
  if (!patched('undo-only-that-command')) return undefined;
  const replay = new FlushReplay(around, policy, subject, found, asked);
  await replay.survey(found.target);
  if (asked === 'replay') await replay.prove();
  return replay;
}

/** The choice to replay everything but the flush: what it is made of, why it is none, and how it is carried out. */
export class FlushReplay {
  readonly #around: Surroundings;
  readonly #found: FlushFinding;
  /** Of the flush itself: the state before it is staged there. */
  readonly #subject: RestoreSubject;
  /** Its own: another dump is staged. */
  readonly #own: RestoreSubject;
  readonly #host;
  readonly #onHost;
  /** What whoever started the run asked for. */
  readonly asked: string | undefined;
  #refused: string | undefined;
  #survey: ReplaySurvey | undefined;
  #runId = '';
  #proven: Omit<PlannedRestore, 'plan' | 'target'> | undefined;

  constructor(
    around: Surroundings,
    policy: InstancePolicy,
    subject: RestoreSubject,
    found: FlushFinding,
    asked: string | undefined,
  ) {
    this.#around = around;
    this.#found = found;
    this.#subject = subject;
    this.#own = { ...subject, restoreId: uuid4() };
    this.#host = proxyActivities<FlushReplayActivities>({ ...patienceOf(policy), taskQueue: policy.hostQueue });
    this.#onHost = hostSteps(policy, around.story);
    this.asked = asked;
  }

  /** Why it cannot be chosen. */
  get refused(): string | undefined {
    return this.#refused;
  }

  /** What is known of it; absent where it cannot be chosen. */
  get found(): (ReplaySurvey & { readonly keys?: number }) | undefined {
    if (this.#refused !== undefined || !this.#survey) return undefined;
    return { ...this.#survey, ...(this.#proven ? { keys: this.#proven.point.keys } : {}) };
  }

  /** Reads what came after the flush, up to now. What it cannot is the reason why there is no such choice. */
  async survey(target: TargetFacts): Promise<void> {
    const { moment, point } = this.#found;
    this.#runId = target.server.runId;
    if (this.#subject.fenceId === undefined) {
      this.#refused = 'Writes are not fenced: what is written while it is replayed would be lost.';
    } else if (!moment) {
      const [why] = point.passedOver.filter((each) => each.startsWith('The archive: '));
      this.#refused = why ?? 'There is no archive: what was written between the backup and the flush is not known.';
    } else {
      await this.#orRefuse(async () => {
        this.#survey = await this.#look({ moment, before: point });
      });
    }
  }

  /** Lays it down, has a server load it, and makes it a backup; nothing of the live server is touched. */
  async prove(): Promise<void> {
    if (this.#refused === undefined) await this.#orRefuse(() => this.#materialize());
  }

  /** A server that was restarted let everybody write for a moment: what was found is not all any more. */
  async lookAgain(target: TargetFacts): Promise<void> {
    if (target.server.runId === this.#runId || this.#refused !== undefined) return;
    const wasProven = this.#proven !== undefined;
    this.#proven = undefined;
    await this.survey(target);
    if (wasProven) await this.prove();
  }

  /**
   * Ready to be put in the place of what is live. It is looked once more whether anything was written since it was read; a
   * replay that is not proven yet is made now.
   */
  planned(target: TargetFacts): Promise<PlannedRestore> {
    const { gates, story, steps } = this.#around;
    const plan = async (): Promise<PlannedRestore> => {
      const now = await this.#look({
        moment: this.#found.moment!,
        before: this.#found.point,
        earlierCut: this.#survey!.moment.position,
      });
      if (now.writtenSince > 0) {
        story.tell(`${now.writtenSince} commands came through since it was shown: they are replayed, too`);
        this.#proven = undefined;
      }
      if (!this.#proven) this.#survey = now;
      const { request, point, staged, subject } = this.#proven ?? (await this.#materialize());
      const made: RestorePlan = refuseOrGo(await steps.planRestore(request, point, staged, target));
      return { steps, subject, request, point, staged, plan: made, target, liveMayBeTheSame: true };
    };
    return withPatience('replay', plan, { gates, story, alreadyDone: () => 'It is approved; no key was touched.' });
  }

  /** What is live and has no place in that history goes: then both are equal. */
  async removeBeyond({ subject, point }: PlannedRestore, log: IncidentLog): Promise<void> {
    const { gates, story } = this.#around;
    const { keys, file } = await withPatience(
      'removeBeyond',
      () =>
        this.#onHost('removeBeyond', () =>
          this.#host.removeBeyond.executeWithOptions({ summary: `what is live and not in ${point.id}` }, [
            subject,
            point,
          ]),
        ),
      { gates, story, alreadyDone: () => `Everything of ${point.id} was put; trying again goes on.` },
    );
    if (keys > 0) story.tell(`${keys} keys that were live are in no history without the flush, and were removed`);
    if (file) log.files.push({ what: 'keys that only the flush had made possible, and that were removed', key: file });
    const { relative, relativeFile } = this.#survey!;
    log.loss = {
      ...log.loss,
      lost: relative.keys > 0 ? [`Nothing that was written; ${relativeWords(relative)}.`] : [],
    };
    if (relativeFile) log.files.push({ what: 'keys whose writes since acted on old values', key: relativeFile });
  }

  async cleanUp(): Promise<void> {
    if (this.#proven) await this.#around.steps.cleanUpRestore(this.#own);
  }

  async #look(asked: Parameters<FlushReplayActivities['surveyReplay']>[1]): Promise<ReplaySurvey> {
    const survey = await this.#onHost('surveyReplay', () =>
      this.#host.surveyReplay.executeWithOptions({ summary: 'what came after the flush, up to the fence?' }, [
        this.#subject,
        asked,
      ]),
    );
    this.#around.story.tell(`${survey.commands} commands came after the flush; ${relativeWords(survey.relative)}`);
    return survey;
  }

  async #materialize(): Promise<Omit<PlannedRestore, 'plan' | 'target'>> {
    const { steps } = this.#around;
    const { parts, target } = this.#found;
    const request = { ...parts[0]!.request, selection: {}, onConflict: 'take-backup' } as const;
    const point = await steps.materializeMoment(this.#survey!.moment, workflowInfo().startTime.toISOString());
    const staged = await steps.stageDump(this.#own, request, point, target);
    this.#proven = { steps, subject: this.#own, request, point, staged };
    return this.#proven;
  }

  async #orRefuse(step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (isCancellation(error) || !(error instanceof TemporalFailure)) throw error;
      this.#refused = sentenceOf(error);
      this.#around.story.tell(`A replay of everything but the flush is not possible: ${this.#refused}`);
    }
  }
}

/** What acts on old values, in words. */
export function relativeWords({ keys, writes, takes, conditional, untold }: ReplaySurvey['relative']): string {
  if (keys === 0) return 'none of them rests on values of before';
  const among = [
    takes > 0 && `${takes} of them take an element, which is another one then`,
    conditional > 0 && `${conditional} do something or nothing by what is there`,
    untold > 0 && `${untold} more were too many to be looked up`,
  ].filter(Boolean);
  return [`${writes} writes to ${keys} keys act on old values`, ...among].join('; ');
}
