import {
  ApplicationFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  currentUpdateInfo,
  isCancellation,
  log,
  setHandler,
  TemporalFailure,
  workflowInfo,
} from '@temporalio/workflow';
import type { AnswerEvent, AnswersOnRecord } from '../activities/answers.ts';
import { failureCode, sentenceOf } from './failure-code.ts';
import {
  type Answer,
  type AnswerKind,
  type Approval,
  agreeing,
  type Choice,
  chosenOf,
  type GateOpen,
  judgeApproval,
  ONLY_CHOICE,
  type ParkedStep,
  parseAnswer,
  refusedWhileParked,
  withApproval,
} from './gate-decision.ts';
import { type Answered, gateMessages } from './gate-messages.ts';
import { type GateShown, gatePage } from './gate-page.ts';
import { type Decision, withIdentities } from './gate-record.ts';
import { planDigest } from './plan-digest.ts';
import type { RunStory } from './run-story.ts';

/** How many must approve, and for how long they are waited for. */
export interface ApprovalPolicy {
  readonly required: number;
  readonly timeoutMs: number;
  /** Whoever started the run may not approve it. */
  readonly excludeStarter?: boolean;
  /** What a gate that nobody answers comes to. */
  readonly onTimeout?: 'reject';
}

/** What is shown at a gate, and may change while it waits. */
export interface GatePlan {
  /** Markdown: what, why, how long. */
  readonly summary: string;
  readonly choices: readonly Choice[];
  /** Id of the choice that an answer without one stands for. */
  readonly default?: string;
  /** JSON; its digest binds the approvals, together with the ids of the choices. Nothing that changes by itself, such as an age. */
  readonly plan: unknown;
}

export interface GateRequest extends GatePlan {
  readonly name: string;
  /** Looks at the world again. Undefined: as it was. Called while waiting, and once more when it is approved. */
  readonly refresh?: () => Promise<GatePlan | undefined>;
  /** In milliseconds; default one minute. */
  readonly refreshEveryMs?: number;
  readonly reminders?: {
    /** In milliseconds; default a third of the time that the gate is open. */
    readonly everyMs?: number;
    readonly send?: (gate: GateShown) => Promise<unknown>;
  };
}

export interface GateAnswer {
  readonly outcome: 'approved';
  readonly choice: string;
  readonly approvals: readonly Approval[];
  readonly plan: string;
}

export interface ParkRequest extends Omit<ParkedStep, 'plan'> {
  /** Code and sentence of what stopped it, and what to do next. */
  readonly code: string;
  readonly message: string;
  readonly next?: string;
  /** A sentence for each thing that is done and stands. */
  readonly alreadyDone: string;
}

interface OpenGate extends GateOpen {
  readonly showing: number;
  readonly summary: string;
  /** Workflow time in milliseconds. */
  readonly deadline: number;
  readonly rejection?: { readonly approver: string; readonly reason: string };
}

interface OpenPark extends ParkRequest, ParkedStep {
  readonly showing: number;
  answer?: Answer;
}

const REFRESH_EVERY_MS = 60_000;

/**
 * Everything in a run that waits for a person. It takes signals and updates from its construction on, so make it before
 * the first await: an answer then always finds a handler, and is refused and recorded when nothing is asked.
 */
export class Gates {
  readonly #story: RunStory;
  readonly #readAnswers?: () => Promise<AnswersOnRecord>;
  readonly #decisions: Decision[] = [];
  readonly #signals = new Map<AnswerKind, number>();
  readonly #parked: OpenPark[] = [];
  #policy?: ApprovalPolicy;
  #starter?: string;
  #gate?: OpenGate;
  #showings = 0;

  /**
   * @param policy of the instance; where it is not known yet, `under` gives it before the first `ask`
   * @param options.starter who started the run, as far as the starting command says; else the memo `starter`
   * @param options.readAnswers the activity of that name, for identities in the report and for whoever started the run
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
    for (const { kind, signal, update, description } of gateMessages) {
      setHandler(signal, (payload) => void this.#take(kind, payload, this.#signalled(kind)), { description });
      setHandler(update, (payload) => this.#updated(kind, payload), {
        description,
        // Synchronous: one that rejects must not be asked again and again. What it rejects is in no history.
        validator: (payload) => {
          const answer = parseAnswer(kind, payload);
          if (typeof answer === 'string') throw failure('ANSWER_INVALID', answer);
        },
      });
    }
  }

  /** The policy, once it was read. */
  under(policy: { readonly approval: ApprovalPolicy }): this {
    this.#policy = policy.approval;
    return this;
  }

  /** What happened so far, for the incident report. */
  get decisions(): readonly Decision[] {
    return [...this.#decisions];
  }

  /** The same with Temporal's own identity of each answer, read from the history where the activity was handed in. */
  async recorded(): Promise<readonly Decision[]> {
    return this.#readAnswers ? withIdentities(this.#decisions, await this.#readAnswers()) : this.decisions;
  }

  /**
   * Shows a plan and waits until enough people approve it as it is when it begins to be carried out.
   *
   * @throws ApplicationFailure GATE_REJECTED, GATE_TIMED_OUT
   */
  async ask(request: GateRequest): Promise<GateAnswer> {
    const policy = this.#policy;
    if (!policy) throw new TypeError('a gate needs the policy: new Gates(story, policy) or gates.under(policy)');
    const excluded = policy.excludeStarter ? await this.#whoStarted() : undefined;
    await condition(() => this.#gate === undefined);
    const deadline = Date.now() + policy.timeoutMs;
    this.#put({ ...this.#shownAnew(request.name, request), deadline, excluded, required: policy.required });
    this.#note('shown', `${request.name} is asked`);
    if (policy.excludeStarter && excluded === undefined) {
      this.#note('shown', 'who started the run is not known, so nobody is kept from approving it');
    }
    try {
      for (;;) {
        await this.#untilAgreed(request, policy);
        await this.#lookOnceMore(request);
        const { chosen, approvals, plan, name } = this.#asked;
        if (chosen === undefined) continue;
        this.#note('approved', `${name} is approved: ${chosen}`);
        return { outcome: 'approved', choice: chosen, plan, approvals: approvals.filter((a) => a.choice === chosen) };
      }
    } catch (error) {
      if (isCancellation(error)) this.#note('cancelled', `${request.name}: the run was cancelled while it waited`);
      throw error;
    } finally {
      this.#put(undefined);
    }
  }

  /**
   * Waits, without end, for what a person decides on a step that cannot go on.
   *
   * @throws ApplicationFailure ABORTED
   */
  async park(request: ParkRequest): Promise<{ kind: 'retry' | 'skip'; input?: Readonly<Record<string, unknown>> }> {
    const { step, code, message } = request;
    this.#showings += 1;
    const parked: OpenPark = {
      ...request,
      plan: planDigest({ step, code, message, showing: this.#showings }),
      showing: this.#showings,
    };
    this.#parked.push(parked);
    this.#show();
    this.#note('parked', `${step} is parked: ${code}: ${message}`, parked);
    try {
      await condition(() => parked.answer !== undefined);
    } finally {
      this.#parked.splice(this.#parked.indexOf(parked), 1);
      this.#show();
    }
    const { kind, approver, reason, input } = parked.answer as Answer;
    if (kind === 'abort') {
      this.#note('aborted', `${approver} ended it at ${step}: ${reason}`, parked);
      throw failure('ABORTED', `${approver} ended it at ${step}: ${reason}`, { step, approver, reason });
    }
    this.#note(
      kind === 'skip' ? 'skipped' : 'retried',
      `${approver} had ${step} ${kind === 'skip' ? 'left out' : 'tried again'}`,
      parked,
    );
    return kind === 'skip' ? { kind } : { kind: 'retry', input };
  }

  /** For every way out of the workflow: whoever has been answered must hear of it before the run ends. */
  async close(): Promise<void> {
    await CancellationScope.nonCancellable(() => condition(allHandlersFinished));
  }

  get #asked(): OpenGate {
    return this.#gate as OpenGate;
  }

  /** Until enough approve; reminders and looks at the world meanwhile. */
  async #untilAgreed(request: GateRequest, policy: ApprovalPolicy): Promise<void> {
    const remindEvery = request.reminders?.everyMs ?? Math.ceil(policy.timeoutMs / 3);
    const lookEvery = request.refreshEveryMs ?? REFRESH_EVERY_MS;
    let remindAt = Date.now() + remindEvery;
    let lookAt = Date.now() + lookEvery;
    const answered = () => this.#asked.chosen !== undefined || this.#asked.rejection !== undefined;
    for (;;) {
      const next = Math.min(this.#asked.deadline, remindAt, request.refresh ? lookAt : Infinity);
      await condition(answered, Math.max(1, next - Date.now()));
      this.#throwIfRejected();
      if (this.#asked.chosen !== undefined) return;
      const now = Date.now();
      if (now >= this.#asked.deadline) throw this.#timedOut(policy);
      if (now >= remindAt) {
        remindAt = now + remindEvery;
        this.#remind(request);
      }
      if (request.refresh && now >= lookAt) {
        await this.#look(request, request.refresh, () => answered() || Date.now() >= this.#asked.deadline);
        lookAt = Date.now() + lookEvery;
      }
    }
  }

  /** Approvals hold for the world as it is now: a look that cannot be made is no reason to go on. */
  async #lookOnceMore(request: GateRequest): Promise<void> {
    if (!request.refresh) return;
    for (;;) {
      const error = await this.#look(request, request.refresh, () => this.#asked.rejection !== undefined);
      this.#throwIfRejected();
      if (!error) return;
      await this.park({
        step: `${request.name}: the look before it is carried out`,
        code: failureCode(error),
        message: sentenceOf(error),
        safeToSkip: false,
        alreadyDone: `${request.name} is approved; nothing of it is done yet.`,
      });
    }
  }

  /**
   * Calls `refresh` and shows what changed. It is cancelled as soon as it does not matter any more: a role that is gone
   * must not keep a rejection waiting.
   *
   * @returns what it failed with
   */
  async #look(request: GateRequest, refresh: () => Promise<GatePlan | undefined>, needless: () => boolean) {
    const scope = new CancellationScope();
    let ended = false;
    const looking = scope
      .run(refresh)
      .then(
        (plan) => ({ plan }),
        (error: unknown) => ({ error }),
      )
      .finally(() => {
        ended = true;
      });
    const left = this.#asked.deadline - Date.now();
    if (this.#asked.chosen === undefined && left > 0) await condition(() => ended || needless(), left);
    else await condition(() => ended || needless());
    if (!ended) scope.cancel();
    const seen = await looking;
    if ('error' in seen) {
      const { error } = seen;
      if (scope.consideredCancelled && isCancellation(error)) return undefined;
      if (isCancellation(error) || !(error instanceof TemporalFailure)) throw error;
      this.#note('look-failed', `${request.name}: the world could not be looked at again: ${sentenceOf(error)}`);
      return error;
    }
    if (seen.plan) this.#renew(request.name, seen.plan);
    return undefined;
  }

  #renew(name: string, plan: GatePlan): void {
    const before = this.#asked;
    if (digestOf(name, plan) === before.plan) {
      this.#put({ ...before, summary: plan.summary, choices: plan.choices });
      return;
    }
    const anew = this.#shownAnew(name, plan);
    this.#put({ ...before, ...anew, chosen: undefined });
    const who = before.approvals.map(({ approver, choice }) => `${approver} (${choice})`).join(', ');
    this.#note('shown', `${name} is shown anew: the plan ${before.plan} is not true any more`);
    if (who) {
      this.#note('voided', `approvals of the earlier plan are void: ${who}`, undefined, { voided: before.approvals });
    }
  }

  #shownAnew(name: string, { summary, choices, default: standard, ...plan }: GatePlan) {
    this.#showings += 1;
    const digest = digestOf(name, { summary, choices, default: standard, ...plan });
    return { name, plan: digest, summary, choices, default: standard, approvals: [], showing: this.#showings };
  }

  #remind({ reminders }: GateRequest): void {
    const shown = this.#shownGate() as GateShown;
    const message = `${shown.name} still waits for a person: ${shown.approvals} of ${shown.required} approvals, until ${shown.deadline}`;
    log.warn(message, { gate: shown.name, plan: shown.plan });
    this.#note('reminded', message);
    reminders?.send?.(shown).catch((error: unknown) => {
      if (!isCancellation(error)) log.warn(`a reminder could not be sent: ${sentenceOf(error)}`);
    });
  }

  #throwIfRejected(): void {
    const { rejection, name, plan } = this.#asked;
    if (!rejection) return;
    this.#note('rejected', `${rejection.approver} rejected ${name}: ${rejection.reason}`);
    throw failure('GATE_REJECTED', `${rejection.approver} rejected ${name}: ${rejection.reason}`, {
      gate: name,
      plan,
      ...rejection,
    });
  }

  #timedOut({ timeoutMs, required }: ApprovalPolicy): ApplicationFailure {
    const { name, plan, approvals } = this.#asked;
    const message = `${name} had ${agreeing(approvals)} of ${required} approvals after ${Math.round(timeoutMs / 1000)} s, which counts as rejected`;
    this.#note('timed-out', message);
    return failure('GATE_TIMED_OUT', message, { gate: name, plan });
  }

  async #whoStarted(): Promise<string | undefined> {
    this.#starter ??= (await this.#readAnswers?.())?.startedBy?.replace(/^temporal-cli:/, '');
    return this.#starter;
  }

  #signalled(kind: AnswerKind): AnswerEvent {
    const ordinal = (this.#signals.get(kind) ?? 0) + 1;
    this.#signals.set(kind, ordinal);
    return { via: 'signal', ordinal };
  }

  #updated(kind: AnswerKind, payload: unknown): Answered {
    const answered = this.#take(kind, payload, { via: 'update', updateId: currentUpdateInfo()?.id ?? '' });
    // Refused ones fail, so that a script that types the plain command cannot take a refusal for an approval.
    if (!answered.accepted) throw failure('ANSWER_REFUSED', answered.message, answered);
    return answered;
  }

  /** Judges and records an answer, whatever it is. It never throws: a signal must not fail a workflow task. */
  #take(kind: AnswerKind, payload: unknown, event: AnswerEvent): Answered {
    const answer = parseAnswer(kind, payload);
    const outcome = typeof answer === 'string' ? refused(answer) : this.#judge(answer);
    const { accepted, message, gate, plan } = outcome;
    this.#decisions.push({
      at: new Date().toISOString(),
      what: 'answered',
      gate,
      plan,
      message,
      answer: {
        kind,
        accepted,
        event,
        planNamed: typeof answer !== 'string' && answer.plan !== undefined,
        ...(typeof answer === 'string'
          ? {}
          : { approver: answer.approver, choice: outcome.choice ?? answer.choice, reason: answer.reason }),
      },
    });
    this.#story.tell(
      accepted ? message : `refused: ${kind}${typeof answer === 'string' ? '' : ` of ${answer.approver}`}: ${message}`,
    );
    return outcome;
  }

  #judge(answer: Answer): Answered {
    return answer.kind === 'approve' || answer.kind === 'reject' ? this.#atGate(answer) : this.#whileParked(answer);
  }

  #atGate(answer: Answer): Answered {
    const gate = this.#gate;
    if (!gate) return refused(this.#nothingAsked(answer.kind));
    const { name, plan, required } = gate;
    const about = { gate: name, plan, approvals: agreeing(gate.approvals), required };
    if (gate.rejection) return { ...refused(`${name} is rejected already`), ...about };
    if (answer.kind === 'reject') {
      if (answer.gate !== undefined && answer.gate !== name) {
        return { ...refused(`the gate ${answer.gate} is not open; the run waits at ${name}`), ...about };
      }
      const { approver, reason = '' } = answer;
      this.#put({ ...gate, rejection: { approver, reason } });
      return { accepted: true, ...about, message: `${approver} rejected ${name}: ${reason}` };
    }
    const judged = judgeApproval(gate, answer, new Date().toISOString());
    if ('refused' in judged) return { ...refused(judged.refused), ...about };
    const approvals = withApproval(gate.approvals, judged.approval);
    this.#put({ ...gate, approvals, chosen: chosenOf({ approvals, required }) });
    const assumed = judged.approval.planNamed ? '' : `; it named no plan and counts for ${plan}`;
    const { choice } = judged.approval;
    return { accepted: true, ...about, approvals: agreeing(approvals), choice, message: `${judged.told}${assumed}` };
  }

  #whileParked(answer: Answer): Answered {
    const open = this.#parked.filter((each) => each.answer === undefined);
    const parked = open.find(({ step, plan }) => step === answer.gate || plan === answer.plan) ?? open[0];
    if (!parked) return refused(this.#nothingAsked(answer.kind));
    const about = { gate: 'parked', plan: parked.plan, required: 1 };
    const why = refusedWhileParked(parked, answer);
    if (why !== undefined) return { ...refused(why), ...about };
    parked.answer = answer;
    return { accepted: true, ...about, approvals: 1, message: `${answer.approver}: ${answer.kind} ${parked.step}` };
  }

  #nothingAsked(kind: AnswerKind): string {
    const [parked] = this.#parked;
    if (this.#gate) return `nothing is parked; the run waits at the gate ${this.#gate.name}: approve or reject`;
    if (parked) return `no gate is open; ${parked.step} is parked: retry${parked.safeToSkip ? ', skip' : ''} or abort`;
    return `nothing is asked now; ${kind} is not kept for later`;
  }

  #put(gate: OpenGate | undefined): void {
    this.#gate = gate;
    this.#show();
  }

  #note(what: Decision['what'], message: string, about?: OpenPark, more: Partial<Decision> = {}): void {
    const [gate, plan] = about ? ['parked', about.plan] : [this.#gate?.name, this.#gate?.plan];
    this.#decisions.push({ at: new Date().toISOString(), what, gate, plan, message, ...more });
    this.#story.tell(message);
  }

  #show(): void {
    const gate = this.#shownGate();
    const parked = this.#parked.map(parkedShown);
    const shown = [...(gate ? [gate] : []), ...parked];
    if (shown.length === 0) {
      this.#story.waits(undefined);
      return;
    }
    const run = workflowInfo();
    this.#story.waits({
      phase: gate ? 'waiting-for-approval' : 'parked',
      gate: shown[0],
      ...(parked.length > 0 ? { parked } : {}),
      page: shown.map((each) => gatePage(each, run)).join('\n\n'),
    });
  }

  #shownGate(): GateShown | undefined {
    if (!this.#gate) return undefined;
    const {
      name,
      plan,
      showing,
      summary,
      choices,
      default: standard,
      deadline,
      approvals,
      required,
      chosen,
    } = this.#gate;
    return {
      name,
      plan,
      showing,
      summary,
      choices:
        choices.length > 0 ? choices : [{ id: ONLY_CHOICE, text: 'Go on as shown.', loses: 'what is said above' }],
      default: standard ?? (choices.length > 1 ? undefined : (choices[0]?.id ?? ONLY_CHOICE)),
      deadline: new Date(deadline).toISOString(),
      approvals: agreeing(approvals),
      required,
      approvers: approvals,
      ...(chosen === undefined ? {} : { approved: chosen }),
    };
  }
}

function parkedShown({ step, code, message, next, alreadyDone, plan, showing, safeToSkip }: OpenPark): GateShown {
  const skip = { id: 'skip', text: `Go on without ${step}.`, loses: 'what the step would have done' };
  return {
    name: 'parked',
    plan,
    showing,
    summary: [
      `\`${step}\` cannot go on: **${code}**: ${message}`,
      next && `Next: ${next}`,
      `Done already: ${alreadyDone}`,
    ]
      .filter(Boolean)
      .join('\n\n'),
    choices: [
      { id: 'retry', text: `Try ${step} again, with corrected input where that helps.`, loses: 'nothing' },
      ...(safeToSkip ? [skip] : []),
      {
        id: 'abort',
        text: 'End the run; what it changed for the time being is put back.',
        loses: 'what is not done yet',
      },
    ],
    approvals: 0,
    required: 1,
    parked: { step, code, ...(next ? { next } : {}) },
  };
}

const refused = (message: string): Answered => ({ accepted: false, approvals: 0, required: 1, message });

function digestOf(name: string, { choices, default: standard, plan }: GatePlan): string {
  return planDigest({ name, plan, choices: choices.map(({ id }) => id), default: standard });
}

function failure(type: string, message: string, details: object = {}): ApplicationFailure {
  return ApplicationFailure.create({ type, message, nonRetryable: true, details: [details] });
}
