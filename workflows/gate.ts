import { allHandlersFinished, CancellationScope, condition, workflowInfo } from '@temporalio/workflow';
import type { AnswersOnRecord } from '../activities/answers.ts';
import { AnswerDesk, refused } from './answer-desk.ts';
import { AskedGate } from './asked-gate.ts';
import type { Answer } from './gate-decision.ts';
import type { Answered } from './gate-messages.ts';
import { gatePage } from './gate-page.ts';
import { type Decision, withIdentities } from './gate-record.ts';
import type { GateAnswer, GateRequest } from './gate-request.ts';
import { type ParkEnd, ParkedSteps, type ParkRequest } from './parked-steps.ts';
import type { RunStory } from './run-story.ts';

export type { Decision } from './gate-record.ts';
export type { GateAnswer, GatePlan, GateRequest } from './gate-request.ts';

/** How many must approve, and for how long they are waited for. */
export interface ApprovalPolicy {
  readonly required: number;
  readonly timeoutMs: number;
  /** Whoever started the run may not approve it. */
  readonly excludeStarter?: boolean;
  /** What a gate that nobody answers comes to. */
  readonly onTimeout?: 'reject';
}

/**
 * Everything in a run that waits for a person. Make it before the first await: an answer then always finds a handler,
 * and one that comes when nothing is asked is recorded and refused.
 */
export class Gates {
  readonly #story: RunStory;
  readonly #desk: AnswerDesk;
  readonly #parked: ParkedSteps;
  readonly #readAnswers?: () => Promise<AnswersOnRecord>;
  #policy?: ApprovalPolicy;
  #starter?: string;
  #gate?: AskedGate;
  #showings = 0;

  /**
   * @param policy of the instance; where it is not known yet, `under` gives it before the first `ask`
   * @param options.starter who started the run, as the starting command says; else the memo `starter`
   * @param options.readAnswers the activity of that name: for identities in the report, and for who started the run
   */
  constructor(
    story: RunStory,
    policy?: { readonly approval: ApprovalPolicy },
    options: { readonly starter?: string; readonly readAnswers?: () => Promise<AnswersOnRecord> } = {},
  ) {
    this.#story = story;
    this.#policy = policy?.approval;
    const memo = workflowInfo().memo?.starter;
    this.#starter = options.starter ?? (typeof memo === 'string' ? memo : undefined);
    this.#readAnswers = options.readAnswers;
    this.#desk = new AnswerDesk(story, (answer) => this.#judge(answer));
    this.#parked = new ParkedSteps(this.#desk, () => this.#show());
    this.#desk.open();
  }

  /** The policy, once it was read. */
  under(policy: { readonly approval: ApprovalPolicy }): this {
    this.#policy = policy.approval;
    return this;
  }

  /** What happened so far, for the incident report. */
  get decisions(): readonly Decision[] {
    return [...this.#desk.decisions];
  }

  /** The same with Temporal's own identity of each answer, read from the history where the activity was handed in. */
  async recorded(): Promise<readonly Decision[]> {
    const { decisions } = this;
    if (!this.#readAnswers) return decisions;
    // A cancelled run writes its report, too.
    return withIdentities(decisions, await CancellationScope.nonCancellable(this.#readAnswers));
  }

  /**
   * Shows a plan and waits until enough people have approved it as it is when it begins to be carried out. One gate is
   * open at a time; a second one waits for the first.
   *
   * @throws ApplicationFailure GATE_REJECTED, GATE_TIMED_OUT; ABORTED where it could not be looked at once more
   */
  async ask(request: GateRequest): Promise<GateAnswer> {
    if (!this.#policy) throw new TypeError('a gate needs the policy: new Gates(story, policy) or gates.under(policy)');
    const { required, timeoutMs, excludeStarter } = this.#policy;
    const excluded = excludeStarter ? await this.#whoStarted() : undefined;
    if (excludeStarter && excluded === undefined) {
      this.#desk.note('shown', 'who started the run is not known, so nobody is kept from approving it');
    }
    await condition(() => this.#gate === undefined);
    const gate = new AskedGate(
      request,
      { required, timeoutMs, excluded },
      {
        desk: this.#desk,
        nextShowing: () => this.#nextShowing(),
        changed: () => this.#show(),
        park: (parked) => this.#parked.park(parked, this.#nextShowing()),
      },
    );
    this.#gate = gate;
    this.#show();
    try {
      return await gate.untilApproved();
    } finally {
      this.#gate = undefined;
      this.#show();
    }
  }

  /**
   * Waits, without end, for what a person decides on a step that cannot go on.
   *
   * @throws ApplicationFailure ABORTED
   */
  async park(request: Omit<ParkRequest, 'until'>): Promise<ParkEnd> {
    return (await this.#parked.park(request, this.#nextShowing())) as ParkEnd;
  }

  /** For every way out of the workflow: whoever is being answered hears of it before the run ends. */
  async close(): Promise<void> {
    await CancellationScope.nonCancellable(() => condition(allHandlersFinished));
  }

  #judge(answer: Answer): Answered {
    const forGate = answer.kind === 'approve' || answer.kind === 'reject';
    const answered = forGate ? this.#gate?.judge(answer) : this.#parked.judge(answer);
    return answered ?? refused(this.#nothingFor(answer));
  }

  #nothingFor({ kind }: Answer): string {
    if (this.#gate) return `nothing is parked; the run waits at the gate ${this.#gate.name}: approve or reject`;
    const [parked] = this.#parked.shown();
    if (!parked) return `nothing is asked now, and ${kind} is not kept for later`;
    return `no gate is open; ${parked.parked?.step} is parked: ${parked.choices.map(({ id }) => id).join(', ')}`;
  }

  async #whoStarted(): Promise<string | undefined> {
    if (this.#starter === undefined) {
      const identity = (await this.#readAnswers?.())?.startedBy?.replace(/^temporal-cli:/, '');
      // Where a client says nothing of itself the identity is a process id and a machine: no person.
      if (identity && !/^\d+@/.test(identity)) this.#starter = identity;
    }
    return this.#starter;
  }

  #nextShowing(): number {
    this.#showings += 1;
    return this.#showings;
  }

  #show(): void {
    const gate = this.#gate?.shown();
    const parked = this.#parked.shown();
    const shown = [...(gate ? [gate] : []), ...parked];
    const run = workflowInfo();
    this.#story.waits(
      shown.length === 0
        ? undefined
        : {
            phase: gate ? 'waiting-for-approval' : 'parked',
            gate: shown[0],
            ...(parked.length > 0 ? { parked } : {}),
            page: shown.map((each) => gatePage(each, run)).join('\n\n'),
          },
    );
  }
}
