import { asOwnChange } from '../archive/loss/own-change.ts';
import type { Moment } from '../archive/read/moment.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import { type ReplaySurvey, surveyReplay } from '../incident/flush/survey-replay.ts';
import { type RemovedBeyond, removeBeyond } from '../restore/remove-beyond.ts';
import type { RestorePoint } from '../restore/restore-point.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import { runStep } from './step.ts';

export interface SurveyAsked {
  readonly moment: Moment;
  /** The same as a backup. */
  readonly before: RestorePoint;
  /** Position up to which an earlier survey of this run read. */
  readonly earlierCut?: number;
}

/** Undoing one command only: what was written after it is kept. They run beside the server that everybody is fenced from. */
export function flushReplayActivities(contextOf: (subject: RestoreSubject) => Promise<InstanceContext>) {
  return {
    /** What a replay of everything but the destructive command would be made of; waits until all of it is archived. */
    surveyReplay: (subject: RestoreSubject, asked: SurveyAsked): Promise<ReplaySurvey> =>
      runStep(async (io) => surveyReplay(await contextOf(subject), subject, asked, io)),

    /** Removes what is live and not in the backup. */
    removeBeyond: (subject: RestoreSubject, point: RestorePoint): Promise<RemovedBeyond> =>
      runStep(async (io) => {
        const context = await contextOf(subject);
        // Very many keys may go: whoever watches for losses has to know whose doing it is.
        return asOwnChange(context, 'undo', () => removeBeyond(context, subject, point, io));
      }),
  };
}

export type FlushReplayActivities = ReturnType<typeof flushReplayActivities>;
