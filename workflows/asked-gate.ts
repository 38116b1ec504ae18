import { CancellationScope, condition, isCancellation, log, TemporalFailure } from '@temporalio/workflow';
import { type AnswerDesk, personsFailure, refused } from './answer-desk.ts';
import { failureCode, sentenceOf } from './failure-code.ts';
import {
  type Answer,
  agreeing,
  chosenOf,
  type GateOpen,
  judgeApproval,
  ONLY_CHOICE,
  withApproval,
} from './gate-decision.ts';
import type { Answered } from './gate-messages.ts';
import type { GateAnswer, GatePlan, GateRequest, GateRules } from './gate-request.ts';
import type { GateShown } from './gate-shown.ts';
import type { ParkEnd, ParkRequest } from './parked-steps.ts';
import { planDigest } from './plan-digest.ts';

/** What a gate needs of the run that it stands in. */
export interface GateSurroundings {
  readonly desk: AnswerDesk;
  /** The next number of something shown. */
  nextShowing(): number;
  /** What is shown is another. */
  changed(): void;
  park(request: ParkRequest): Promise<ParkEnd | undefined>;
}

const REFRESH_EVERY_MS = 60_000;
/** Of a gate that stays open for days the world is looked at so often in all: each look is in the history. */
const LOOKS = 30;

/** One gate, from the moment that it is shown until it is answered. */
export class AskedGate {
  readonly #request: GateRequest;
  readonly #rules: GateRules;
  readonly #around: GateSurroundings;
  /** Workflow time in milliseconds. It is the gate's: a plan that is shown anew does not prolong it. */
  readonly #deadline: number;
  #open: GateOpen;
  #summary: string;
  #showing: number;
  #rejection?: { readonly approver: string; readonly reason: string };

  constructor(request: GateRequest, rules: GateRules, around: GateSurroundings) {
    this.#request = request;
    this.#rules = rules;
    this.#around = around;
    this.#deadline = Date.now() + rules.timeoutMs;
    this.#showing = around.nextShowing();
    this.#summary = request.summary;
    this.#open = this.#opened(request);
  }

  get name(): string {
    return this.#request.name;
  }

  /**
   * Until enough people have approved the plan as it is then.
   *
   * @throws ApplicationFailure GATE_REJECTED, GATE_TIMED_OUT
   */
  async untilApproved(): Promise<GateAnswer> {
    this.#note('shown', `${this.name} is asked`);
    try {
      for (;;) {
        await this.#untilAgreed();
        await this.#lookOnceMore();
        const { chosen, approvals, plan } = this.#open;
        if (chosen === undefined) continue;
        this.#note('approved', `${this.name} is approved: ${chosen}`);
        return { outcome: 'approved', choice: chosen, plan, approvals: approvals.filter((a) => a.choice === chosen) };
      }
    } catch (error) {
      if (isCancellation(error)) this.#note('cancelled', `${this.name}: the run was cancelled while it waited`);
      throw error;
    }
  }

  /** Counts an approval or a rejection, or says why not. */
  judge(answer: Answer): Answered {
    const { name, plan, required, approvals } = this.#open;
    const about = { gate: name, plan, approvals: agreeing(approvals), required };
    if (this.#rejection) return refused(`${name} is rejected already`, about);
    if (answer.kind === 'reject') return this.#rejected(answer, about);
    const judged = judgeApproval(this.#open, answer, new Date().toISOString());
    if ('refused' in judged) return refused(judged.refused, about);
    const counted = withApproval(approvals, judged.approval);
    this.#open = { ...this.#open, approvals: counted, chosen: chosenOf({ approvals: counted, required }) };
    this.#around.changed();
    const { choice, planNamed } = judged.approval;
    const assumed = planNamed ? '' : `; it named no plan and counts for ${plan}`;
    return { accepted: true, ...about, approvals: agreeing(counted), choice, message: `${judged.told}${assumed}` };
  }

  shown(): GateShown {
    const { name, plan, choices, default: standard, approvals, required, chosen } = this.#open;
    const only = { id: ONLY_CHOICE, text: 'Go on as shown.', loses: 'what is said above' };
    return {
      name,
      plan,
      showing: this.#showing,
      summary: this.#summary,
      choices: choices.length > 0 ? choices : [only],
      default: standard ?? (choices.length > 1 ? undefined : (choices[0] ?? only).id),
      deadline: new Date(this.#deadline).toISOString(),
      approvals: agreeing(approvals),
      required,
      approvers: approvals,
      ...(chosen === undefined ? {} : { approved: chosen }),
    };
  }

  #rejected(answer: Answer, about: Pick<Answered, 'gate' | 'plan' | 'approvals' | 'required'>): Answered {
    const { approver, reason = '', gate } = answer;
    if (gate !== undefined && gate !== this.name) {
      return refused(`the gate ${gate} is not open; the run waits at ${this.name}`, about);
    }
    this.#rejection = { approver, reason };
    return { accepted: true, ...about, message: `${approver} rejected ${this.name}: ${reason}` };
  }

  /** Until enough agree; reminders and looks at the world meanwhile. */
  async #untilAgreed(): Promise<void> {
    const { refresh, refreshEveryMs, reminders } = this.#request;
    const lookEvery = refreshEveryMs ?? Math.max(REFRESH_EVERY_MS, Math.ceil(this.#rules.timeoutMs / LOOKS));
    const remindEvery = reminders?.everyMs ?? Math.ceil(this.#rules.timeoutMs / 3);
    let remindAt = Date.now() + remindEvery;
    let lookAt = refresh ? Date.now() + lookEvery : Number.POSITIVE_INFINITY;
    for (;;) {
      const next = Math.min(this.#deadline, remindAt, lookAt);
      await condition(() => this.#answered, Math.max(1, next - Date.now()));
      this.#throwIfRejected();
      if (this.#open.chosen !== undefined) return;
      const now = Date.now();
      if (now >= this.#deadline) throw this.#timedOut();
      if (now >= remindAt) {
        remindAt = now + remindEvery;
        this.#remind();
      }
      if (refresh && now >= lookAt) {
        await this.#look(refresh, () => this.#answered, this.#deadline - now);
        lookAt = Date.now() + lookEvery;
      }
    }
  }

  get #answered(): boolean {
    return this.#open.chosen !== undefined || this.#rejection !== undefined;
  }

  /** Approvals hold for the world as it is now: a look that cannot be made is no reason to go on without it. */
  async #lookOnceMore(): Promise<void> {
    const { refresh } = this.#request;
    const isRejected = () => this.#rejection !== undefined;
    while (refresh) {
      const error = await this.#look(refresh, isRejected);
      this.#throwIfRejected();
      if (!error) return;
      await this.#around.park({
        step: `${this.name}: the look before it is carried out`,
        code: failureCode(error),
        message: sentenceOf(error),
        safeToSkip: false,
        alreadyDone: `${this.name} is approved; nothing of it is done yet.`,
        until: isRejected,
      });
      this.#throwIfRejected();
    }
  }

  /**
   * Looks at the world and shows what has changed. It is cancelled as soon as it does not matter any more: a role that
   * is gone must not keep a rejection, or the deadline, waiting.
   *
   * @param withinMs what is left of the gate's time, where that still counts
   * @returns what it failed with
   */
  async #look(refresh: () => Promise<GatePlan | undefined>, needless: () => boolean, withinMs?: number) {
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
    const over = () => ended || needless();
    await (withinMs === undefined ? condition(over) : condition(over, withinMs));
    const givenUp = !ended;
    if (givenUp) scope.cancel();
    const seen = await looking;
    if ('plan' in seen) {
      if (seen.plan) this.#renew(seen.plan);
      return undefined;
    }
    const { error } = seen;
    if (isCancellation(error) && givenUp) return undefined;
    if (isCancellation(error) || !(error instanceof TemporalFailure)) throw error;
    this.#note('look-failed', `${this.name}: the world could not be looked at again: ${sentenceOf(error)}`);
    return error;
  }

  #renew(plan: GatePlan): void {
    const before = this.#open;
    const now = this.#opened(plan);
    this.#summary = plan.summary;
    if (now.plan === before.plan) {
      this.#open = { ...before, choices: now.choices };
      this.#around.changed();
      return;
    }
    this.#showing = this.#around.nextShowing();
    this.#open = now;
    this.#around.changed();
    this.#note('shown', `${this.name} is shown anew: the plan ${before.plan} is not true any more`);
    if (before.approvals.length === 0) return;
    const who = before.approvals.map(({ approver, choice }) => `${approver} (${choice})`).join(', ');
    this.#around.desk.note('voided', `approvals of the plan ${before.plan} are void: ${who}`, {
      gate: this.name,
      plan: before.plan,
      voided: before.approvals,
    });
  }

  #opened({ choices, default: standard, plan }: GatePlan): GateOpen {
    const { name } = this;
    const ids = choices.map(({ id }) => id);
    const digest = planDigest({ name, plan, choices: ids, default: standard });
    const { required, excluded } = this.#rules;
    return { name, plan: digest, choices, default: standard, required, excluded, approvals: [] };
  }

  #remind(): void {
    const shown = this.shown();
    const message = `${shown.name} still waits for a person: ${shown.approvals} of ${shown.required} approvals, until ${shown.deadline}`;
    log.warn(message, { gate: shown.name, plan: shown.plan });
    this.#note('reminded', message);
    this.#request.reminders?.send?.(shown).catch((error: unknown) => {
      if (!isCancellation(error)) log.warn(`a reminder could not be sent: ${sentenceOf(error)}`);
    });
  }

  #throwIfRejected(): void {
    if (!this.#rejection) return;
    const message = `${this.#rejection.approver} rejected ${this.name}: ${this.#rejection.reason}`;
    this.#note('rejected', message);
    throw personsFailure('GATE_REJECTED', message, { gate: this.name, plan: this.#open.plan, ...this.#rejection });
  }

  #timedOut() {
    const { approvals, required, plan } = this.#open;
    const after = `${Math.round(this.#rules.timeoutMs / 1000)} s`;
    const message = `${this.name} had ${agreeing(approvals)} of ${required} approvals after ${after}, which counts as rejected`;
    this.#note('timed-out', message);
    return personsFailure('GATE_TIMED_OUT', message, { gate: this.name, plan });
  }

  #note(
    what: 'shown' | 'approved' | 'rejected' | 'timed-out' | 'cancelled' | 'reminded' | 'look-failed',
    text: string,
  ) {
    this.#around.desk.note(what, text, { gate: this.name, plan: this.#open.plan });
  }
}
