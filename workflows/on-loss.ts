import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ChildWorkflowCancellationType,
  ChildWorkflowFailure,
  defineSignal,
  isCancellation,
  ParentClosePolicy,
  patched,
  proxyActivities,
  setHandler,
  sleep,
  startChild,
} from '@temporalio/workflow';
import type { LossActivities, LossSignal } from '../activities/loss-beside.ts';
import { failureCode } from './failure-code.ts';
import type { RunStory } from './run-story.ts';
import { searchAttributes } from './search-attributes.ts';

/** What the agent tells of a loss; told again it is the same one. */
export const lossNoticedSignal = defineSignal<[LossSignal]>('lossNoticed');

/** A run whose instance has lost something that nobody has closed is found by that. */
const PHASE = 'loss-noticed';
/** What a run knows of earlier ones that is told again. */
const MOST_KNOWN = 4;
/** A backup that owns the instance at this moment is waited for: so often, so long each time. */
const TRIES = 60;
const AGAIN = '5s';
/** A runbook that another run keeps from the instance ends in less. */
const BUSY_WITHIN = '30s';
/** While a loss is open it is looked so often whether it still is. */
const CLOSED_EVERY = '30s';
/** Its moment is pinned within so many of these looks. */
const LOOKS_UNPINNED = 2;

/** How a run that archives acts on losses: it says so where people look, and begins the runbook where that is configured. */
export class LossDesk {
  readonly #instance: string;
  readonly #story: RunStory;
  #known: readonly string[];
  #isOpen = false;
  #isWatched = false;

  constructor(instance: string, story: RunStory, known: readonly string[] = []) {
    this.#instance = instance;
    this.#story = story;
    this.#known = known;
    setHandler(lossNoticedSignal, (loss) => this.#notice(loss));
  }

  /** Ids of the losses that were told last, for the next run. */
  get known(): readonly string[] {
    return this.#known;
  }

  /** Of the run, as long as it archives. */
  get phase(): string {
    return this.#isOpen ? PHASE : 'archiving';
  }

  /** Says again what nobody has closed. */
  async sayOpen(): Promise<void> {
    const open = await this.#readOpen();
    if (open === undefined || open.length === 0) return;
    for (const sentence of open) this.#story.tell(sentence);
    this.#isOpen = true;
    this.#story.phase(PHASE);
    await this.#untilClosed();
  }

  /** A store that does not answer keeps nobody from archiving. */
  async #readOpen(): Promise<readonly string[] | undefined> {
    const { readOpenLosses } = proxyActivities<LossActivities>({
      taskQueue: 'rewind',
      startToCloseTimeout: '20s',
      scheduleToCloseTimeout: '1m',
      retry: { maximumAttempts: 2 },
    });
    try {
      return await readOpenLosses.executeWithOptions({ summary: 'is a loss open?' }, [{ instance: this.#instance }]);
    } catch (error) {
      if (isCancellation(error)) throw error;
      return undefined;
    }
  }

  /** Whoever watches the phase sees when it is over, and not only when the next run begins. */
  async #untilClosed(): Promise<void> {
    if (this.#isWatched || !patched('losses-close')) return;
    this.#isWatched = true;
    // It is told before its moment is pinned, and open only then; it may also be closed before the first look.
    let looksUnpinned = LOOKS_UNPINNED;
    while (this.#isOpen) {
      await sleep(CLOSED_EVERY);
      const open = await this.#readOpen();
      if (open === undefined) continue;
      if (open.length > 0) looksUnpinned = 0;
      if (open.length > 0 || looksUnpinned-- > 0) continue;
      this.#isOpen = false;
      this.#story.phase('archiving');
    }
    this.#isWatched = false;
  }

  async #notice(loss: LossSignal): Promise<void> {
    if (this.#known.includes(loss.id)) return;
    this.#known = [...this.#known, loss.id].slice(-MOST_KNOWN);
    this.#story.tell(
      `**loss noticed** at ${new Date(loss.timeMs).toISOString()}: ${loss.sentence} ${placeOf(loss)} Next: \`${loss.next}\``,
    );
    this.#isOpen = true;
    this.#story.phase(PHASE, { outcome: PHASE });
    // Beside: a handler that waited for it would keep the next run from beginning.
    this.#untilClosed().catch(() => undefined);
    if (loss.onLoss === 'fence') await this.#begin(loss);
  }

  /** Fences and asks a person: the runbook does, and owns what it does. */
  async #begin(loss: LossSignal): Promise<void> {
    const instance = this.#instance;
    for (let attempt = 1; attempt <= TRIES; attempt += 1) {
      try {
        const runbook = await startChild('recoverAccidentalFlush', {
          workflowId: `accidental-flush/${instance}`,
          args: [{ instance, ...loss.asked }],
          // It goes on whatever becomes of the archive.
          parentClosePolicy: ParentClosePolicy.ABANDON,
          cancellationType: ChildWorkflowCancellationType.ABANDON,
          staticSummary: `accidental-flush of ${instance}`,
          typedSearchAttributes: [{ key: searchAttributes.instance, value: instance }],
        });
        if (attempt === 1)
          this.#story.tell(`accidental-flush/${instance} was started: it fences, and waits at its gate`);
        const busy = runbook.result().then(
          () => false,
          (error: unknown) =>
            failureCode(error instanceof ChildWorkflowFailure ? error.cause : error) === 'INSTANCE_BUSY',
        );
        if (!(await Promise.race([busy, sleep(BUSY_WITHIN).then(() => false)]))) return;
      } catch (error) {
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        this.#story.tell(`accidental-flush/${instance} runs already: nothing was started`);
        return;
      }
      await sleep(AGAIN);
    }
    this.#story.tell(`accidental-flush/${instance} could not be started: another run owns ${instance}`);
  }
}

function placeOf({ goodMs, good }: LossSignal): string {
  const when = `All was there at ${new Date(goodMs).toISOString()}`;
  return good ? `${when}, timeline ${good.timeline}, position ${good.position}.` : `${when}.`;
}
