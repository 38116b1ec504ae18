import { CancellationScope, isCancellation, patched, proxyActivities, uuid4, workflowInfo } from '@temporalio/workflow';
import type { AdoptFenceActivities, FenceActivities, FenceSubject, FenceWatched } from '../activities/fence.ts';
import type { FenceReport } from '../fence/fence-writes.ts';
import type { UnfenceReport } from '../fence/unfence-writes.ts';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import { failureCode, sentenceOf } from './failure-code.ts';
import { seconds } from './figures.ts';
import type { Gates } from './gate.ts';
import { withPatience } from './park.ts';
import { patienceOf } from './patience.ts';
import type { RunStory } from './run-story.ts';

/** A fence as one run holds it: watched until it is undone, and undone on every way out. */
export interface HeldFence {
  readonly fenceId: string;
  readonly report: FenceReport;
  /** What the watch saw, once it has ended. */
  readonly watched: () => FenceWatched | undefined;
  /** Gives everybody back what the fence took. Called again it does nothing more. */
  unfence(): Promise<UnfenceReport | undefined>;
}

/** Looked for this often while the step is tried again, in milliseconds: every one of them writes get through. */
const SOON_MS = 200;

/** Takes writing from everybody and keeps it so. */
export async function holdFence(policy: InstancePolicy, gates: Gates, story: RunStory): Promise<HeldFence> {
  const patience = patienceOf(policy);
  const host = proxyActivities<FenceActivities>({
    ...patience,
    retry: { ...patience.retry, initialInterval: Math.min(SOON_MS, policy.timeouts.retryMs) },
    taskQueue: policy.hostQueue,
  });
  const { adoptFence } = proxyActivities<AdoptFenceActivities>({ ...patience, taskQueue: 'rewind' });
  const { workflowId, firstExecutionRunId } = workflowInfo();
  let subject: FenceSubject = {
    instance: policy.instance,
    policyDigest: policy.digest,
    fenceId: uuid4(),
    workflowId,
    runId: firstExecutionRunId,
  };
  const fence = () => host.fenceWrites.executeWithOptions({ summary: 'nobody but us writes' }, [subject]);
  const unfence = () => host.unfenceWrites.executeWithOptions({ summary: 'the rights from before' }, [subject]);
  const undo = () => {
    story.step('unfenceWrites');
    return withPatience('unfenceWrites', unfence, {
      gates,
      story,
      passes: new Set([NO_SUCH_FENCE]),
      alreadyDone: () => 'Writes are fenced still; rewind unfence undoes it by hand.',
    });
  };
  /** The fence of a run that is gone goes on as this run's; one that was being undone is undone to its end first. */
  const takeOver = async () => {
    const { fenceId: _own, ...asked } = subject;
    const adopted = await adoptFence.executeWithOptions({ summary: 'a fence without an owner?' }, [asked]);
    const { fenceId, from, fencedAt, ending } = adopted;
    story.tell(`the fence of ${from.workflowId}, which has ended, stands since ${fencedAt}: it is taken over`);
    const taken = { ...subject, fenceId };
    if (ending) await host.unfenceWrites.executeWithOptions({ summary: 'begun by another run' }, [taken]);
    else subject = taken;
  };
  story.step('fenceWrites');
  const report = await withPatience(
    'fenceWrites',
    async () => {
      try {
        return await fence();
      } catch (error) {
        if (failureCode(error) !== ALREADY_OPEN || !patched('take-over-abandoned-fence')) throw error;
        await takeOver();
        return fence();
      }
    },
    { gates, story, alreadyDone: () => 'Nothing is changed but, perhaps, the rights of some users.' },
  ).catch(async (error) => {
    // Cancelled or aborted half-way: whoever lost their rights to this fence has them back before the run ends.
    await CancellationScope.nonCancellable(() => undo().catch(ifThereWasNone));
    throw error;
  });
  const names = report.users.map(({ name }) => name).join(', ');
  const whom = names ? `${report.users.length} users (${names})` : 'everybody was fenced already';
  story.tell(`writes are fenced since ${report.fencedAt}: ${whom}`);

  const watching = new CancellationScope();
  let watched: FenceWatched | undefined;
  const ended = watching
    .run(() => host.watchFence.executeWithOptions({ activityId: 'watchFence', summary: 'who may write?' }, [subject]))
    .then(
      (seen) => {
        watched = seen;
      },
      (error: unknown) => {
        if (!isCancellation(error)) story.tell(`the fence is not watched any more: ${sentenceOf(error)}`);
      },
    );

  let undone: Promise<UnfenceReport | undefined> | undefined;
  const giveBack = async () => {
    const given = await undo();
    watching.cancel();
    await ended;
    if (given) story.tell(`writes were fenced for ${seconds(given.fencedMs)}; the rights are as before`);
    for (const note of given?.notes ?? []) story.tell(note);
    return given;
  };
  return {
    fenceId: subject.fenceId,
    report,
    watched: () => watched,
    unfence: () => (undone ??= CancellationScope.nonCancellable(giveBack)),
  };
}

const NO_SUCH_FENCE = 'FENCE_UNKNOWN';
const ALREADY_OPEN = 'FENCE_ALREADY_OPEN';

/** A fence that was given up before it was on record has taken nothing from anybody. */
function ifThereWasNone(error: unknown): undefined {
  if (failureCode(error) !== NO_SUCH_FENCE) throw error;
  return undefined;
}
