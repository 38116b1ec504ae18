import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ActivityCancellationType,
  allHandlersFinished,
  CancellationScope,
  CancelledFailure,
  condition,
  continueAsNew,
  defineSignal,
  isCancellation,
  ParentClosePolicy,
  patched,
  proxyActivities,
  setHandler,
  sleep,
  startChild,
  upsertMemo,
} from '@temporalio/workflow';
import type { ArchiveShipActivities } from '../activities/archive-ship.ts';
import type { DescribePolicyActivity } from '../activities/check.ts';
import { failureCode, sentenceOf } from './failure-code.ts';
import { LossDesk } from './on-loss.ts';
import { RunStory } from './run-story.ts';

export interface ShipAofInput {
  readonly instance: string;
  /** How long one step follows; a run is one step. For tests. */
  readonly forMs?: number;
  /** From run to run: losses that were told already. */
  readonly losses?: readonly string[];
}

export interface ShipAofResult {
  readonly instance: string;
  /** Why it ended by itself. */
  readonly ended: 'off';
}

/** What `rewind apply` tells a running archive whose configuration is another now. */
export const reconfiguredSignal = defineSignal<[{ digest: string }]>('reconfigured');
/** In the memo: what the configuration of the archive was when it was told last. */
export const ARCHIVE_DIGEST = 'rewindArchive';

/** One run's length: two steps, 6 KB of history. */
const FOLLOW_FOR_MS = 20 * 60_000;
/** What a person has to mend (a login, an identity) is tried again so often. */
const STUCK_FOR = '1m';
/** These do not mend while this run goes on. */
const final = new Set(['ARCHIVE_TAKEN_OVER', 'ARCHIVE_NOT_POSSIBLE', 'ARCHIVE_FOREIGN', 'INSTANCE_UNKNOWN']);

/**
 * Follows the append-only file of an instance into the repository for as long as its archive is on. Owns nothing: backups,
 * restores and runbooks go on beside it.
 */
export async function shipAof(input: ShipAofInput): Promise<ShipAofResult> {
  const { instance, forMs = FOLLOW_FOR_MS } = input;
  const story = new RunStory(`Archive of ${instance}`, instance);
  const following = new CancellationScope();
  const losses = new LossDesk(instance, story, input.losses);
  setHandler(reconfiguredSignal, ({ digest }) => {
    upsertMemo({ [ARCHIVE_DIGEST]: digest });
    following.cancel();
  });
  try {
    const orchestrator = proxyActivities<DescribePolicyActivity>({ taskQueue: 'rewind', startToCloseTimeout: '1m' });
    const policy = await orchestrator.describePolicy.executeWithOptions({ summary: 'what is configured?' }, [
      { instance },
    ]);
    if (!policy.archive) {
      story.phase('off', { outcome: 'off' });
      return { instance, ended: 'off' };
    }
    const host = proxyActivities<ArchiveShipActivities>({
      taskQueue: policy.hostQueue,
      // An agent that is down is waited for: what it does not ship is on its disk.
      startToCloseTimeout: forMs + 10 * 60_000,
      heartbeatTimeout: policy.timeouts.heartbeatMs,
      cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
      retry: { initialInterval: policy.timeouts.retryMs, maximumInterval: '30s' },
    });
    story.phase(losses.phase);
    if (forMs === FOLLOW_FOR_MS) await tendBeside(instance);
    if (patched('open-losses')) losses.sayOpen().catch(() => undefined);
    story.step('followAof');
    await following.run(() =>
      host.followAof.executeWithOptions({ summary: `following ${instance}`, activityId: 'followAof' }, [
        { instance, forMs },
      ]),
    );
  } catch (error) {
    const cancelled = CancellationScope.current().consideredCancelled;
    if (cancelled) {
      story.phase('ended', { outcome: 'cancelled' });
      throw error;
    }
    if (!isCancellation(error)) await stuck(story, error);
  }
  // A step that was told to end may have ended well.
  if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('the archive was switched off');
  await condition(allHandlersFinished);
  return continueAsNew<typeof shipAof>({ ...input, ...(losses.known.length > 0 ? { losses: losses.known } : {}) });
}

/** Compaction and pruning, in a run of their own; one that still goes on is enough. */
async function tendBeside(instance: string): Promise<void> {
  try {
    await startChild('tendArchive', {
      workflowId: `tend-archive/${instance}`,
      args: [{ instance }],
      parentClosePolicy: ParentClosePolicy.ABANDON,
      staticSummary: `Archive of ${instance} tended`,
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}

async function stuck(story: RunStory, error: unknown): Promise<void> {
  story.tell(sentenceOf(error));
  if (final.has(failureCode(error))) {
    story.phase('failed', { outcome: 'failed' });
    throw error;
  }
  story.phase('stuck');
  await sleep(STUCK_FOR);
}
