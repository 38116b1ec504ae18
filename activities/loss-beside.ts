import { setTimeout as sleep } from 'node:timers/promises';
import { Context } from '@temporalio/activity';
import type { FollowFigures, FollowIO } from '../archive/follow/follow-options.ts';
import { lossLimits } from '../archive/loss/judge-loss.ts';
import type { LookOptions } from '../archive/loss/loss-looks.ts';
import { openLosses } from '../archive/loss/loss-record.ts';
import { LossWatch } from '../archive/loss/loss-watch.ts';
import { askedOfRunbook, nextAfterLoss, sentenceOfLoss, type ToldLoss } from '../archive/loss/told-loss.ts';
import type { ArchivePlace } from '../archive/read/records.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import { ownerActivities } from './owner.ts';
import { runStep } from './step.ts';

/** What the run that archives an instance is told of a loss. */
export interface LossSignal extends ToldLoss {
  readonly onLoss: 'alert' | 'fence';
  /** What happened, for a person, and the command that is typed next. */
  readonly sentence: string;
  readonly next: string;
  /** What a runbook that is begun for it is asked for beside its instance. */
  readonly asked: ReturnType<typeof askedOfRunbook>;
}

/** What is being stored or told when a step ends is waited for so long, in ms. */
const patienceMs = 5_000;
/** These put other files under a server and start it: what it has then is theirs to answer for. */
const changeFiles = new Set(['recoverNodeCrash', 'recoverDataCorruption']);

const usual: Omit<LookOptions, 'shrunkTo'> = {
  ...lossLimits,
  askMs: 1_000,
  togetherMs: 60_000,
  exactMs: 10_000,
  now: Date.now,
};

/**
 * Watches for losses beside whoever follows, within its step: tells the run of each, which acts on it. Only while something
 * is followed; never for longer than the signal.
 */
export function lossBeside(
  context: InstanceContext,
  signal: AbortSignal,
): Required<Pick<FollowIO, 'onFigures' | 'onDestructive'>> & { ended(): Promise<void> } {
  const { client, info, log } = Context.current();
  const { instance, archive, backup } = context.policy;
  const workflowId = info.workflowExecution?.workflowId ?? '';
  const told = new Set<string>();
  const watch = new LossWatch(
    context,
    {
      tell: async (loss) => {
        const [sentence, next] = [sentenceOfLoss(loss), nextAfterLoss(instance, loss)];
        const alert = `loss noticed: ${sentence} Next: ${next}`;
        if (!told.has(loss.id)) log.error(alert, { instance, kind: loss.kind, keysLost: loss.keysLost });
        told.add(loss.id);
        // Whichever run is the present one.
        const run = client.workflow.getHandle(workflowId);
        const onLoss = loss.late ? 'alert' : (archive?.onLoss ?? 'alert');
        const asked = askedOfRunbook(loss);
        await run.signal<[LossSignal]>('lossNoticed', { ...loss, onLoss, sentence, next, asked });
      },
      changedBy: async () => {
        const owner = await ownerActivities(client).describeOwner({ instance });
        return owner?.running && changeFiles.has(owner.type) ? owner.workflowId : undefined;
      },
      onPinned: ({ timeline, position }) =>
        log.info(`pinned: timeline ${timeline}, position ${position}`, { instance }),
      onTrouble: (sentence) => log.warn(`watching ${instance} for losses: ${sentence}`),
    },
    { ...usual, shrunkTo: backup.flagBelow },
  );
  let running: Promise<void> | undefined;
  return {
    onFigures: (figures: FollowFigures) => {
      watch.figures(figures);
      if (figures.timeline > 0) running ??= watch.run(signal);
    },
    onDestructive: (found) => watch.destructive(found),
    // A store, or a Temporal, that does not answer at this moment is no reason to wait: it is written down here.
    ended: () => Promise.race([running, sleep(patienceMs, undefined, { ref: false })]).then(() => undefined),
  };
}

/** Losses that nobody has closed, as the repository has them: sentences, newest first. */
export function lossActivities(placeOf: (subject: { instance: string }) => Promise<Pick<ArchivePlace, 'repository'>>) {
  return {
    readOpenLosses: ({ instance }: { instance: string }): Promise<string[]> =>
      runStep(async () => {
        const { repository } = await placeOf({ instance });
        const losses = await openLosses(repository, instance);
        return losses.slice(0, 4).map((loss) => `${new Date(loss.timeMs).toISOString()}: ${loss.sentence}`);
      }),
  };
}

export type LossActivities = ReturnType<typeof lossActivities>;
