/** What a person can answer; the names of the signals and updates. */
export const answerKinds = ['approve', 'reject', 'retry', 'skip', 'abort'] as const;
export type AnswerKind = (typeof answerKinds)[number];

export interface Choice {
  readonly id: string;
  readonly text: string;
  /** What is gone for good when it is chosen, in a sentence. */
  readonly loses: string;
}

/** An answer whose form is right; whether it counts is judged. */
export interface Answer {
  readonly kind: AnswerKind;
  /** A claim: Temporal's own identity of the event stands beside it in the report. */
  readonly approver: string;
  /** Name of the gate that is meant (approve, reject), or of the parked step (retry, skip, abort). */
  readonly gate?: string;
  /** Digest of the plan that was shown. */
  readonly plan?: string;
  readonly choice?: string;
  readonly reason?: string;
  /** Corrected input of a parked step. */
  readonly input?: Readonly<Record<string, unknown>>;
}

export interface Approval {
  readonly approver: string;
  readonly choice: string;
  readonly reason?: string;
  /** ISO 8601. */
  readonly at: string;
  /** False where the answer named no plan, so that it counts for the one that was open at its arrival. */
  readonly planNamed: boolean;
}

/** What an approval is judged against. */
export interface GateOpen {
  readonly name: string;
  /** Digest of the plan that is shown. */
  readonly plan: string;
  readonly choices: readonly Choice[];
  readonly default?: string;
  readonly required: number;
  /** Whoever started the run, where that person may not approve it. */
  readonly excluded?: string;
  readonly approvals: readonly Approval[];
  /** Set once enough approvals agree. */
  readonly chosen?: string;
}

/** Gates without choices know one answer. */
export const ONLY_CHOICE = 'approve';

const LONGEST_NAME = 200;
const LONGEST_TEXT = 4_000;

/** @returns the answer, or a sentence that says why its form is wrong */
export function parseAnswer(kind: AnswerKind, payload: unknown): Answer | string {
  if (payload === null || typeof payload !== 'object' || Array.isArray(payload)) {
    return `${kind} takes one JSON object such as ${exampleOf(kind)}`;
  }
  const given = payload as Record<string, unknown>;
  for (const name of ['approver', 'gate', 'plan', 'choice', 'reason']) {
    const value = given[name];
    if (value === undefined || value === null) continue;
    if (typeof value !== 'string') return `${name} of ${kind} is a text: ${exampleOf(kind)}`;
    const longest = name === 'reason' ? LONGEST_TEXT : LONGEST_NAME;
    if (value.length > longest) return `${name} of ${kind} is longer than ${longest} characters`;
  }
  const text = (name: string) => oneLine((given[name] as string | undefined) ?? '') || undefined;
  const approver = text('approver');
  if (!approver) return `${kind} names its approver: ${exampleOf(kind)}`;
  const reason = text('reason');
  if (!reason && (kind === 'reject' || kind === 'abort')) return `${kind} gives a reason: ${exampleOf(kind)}`;
  const input = given.input ?? undefined;
  if (input !== undefined && (typeof input !== 'object' || Array.isArray(input))) {
    return 'input of retry is a JSON object with the corrected values';
  }
  return {
    kind,
    approver,
    gate: text('gate'),
    plan: text('plan'),
    choice: text('choice'),
    reason,
    ...(kind === 'retry' && input ? { input: input as Record<string, unknown> } : {}),
  };
}

const exampleOf = (kind: AnswerKind) =>
  kind === 'reject' || kind === 'abort' ? '{"approver":"you","reason":"why"}' : '{"approver":"you"}';

/** Written by somebody else, and shown in one line of a page or a terminal. */
function oneLine(text: string): string {
  return text.replace(/[\s\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]+/gu, ' ').trim();
}

/** Names differ in case and spaces when the same person types them twice. */
export const samePerson = (a: string, b: string): boolean => personOf(a) === personOf(b);

const personOf = (name: string) => name.normalize('NFKC').trim().toLowerCase();

export type Judged = { readonly refused: string } | { readonly approval: Approval; readonly told: string };

/** Whether an approval counts at this gate, and in which words it is told. */
export function judgeApproval(gate: GateOpen, answer: Answer, at: string): Judged {
  const { approver, reason } = answer;
  if (answer.gate !== undefined && answer.gate !== gate.name) {
    return { refused: `the gate ${answer.gate} is not open; the run waits at ${gate.name}` };
  }
  if (gate.chosen !== undefined) return { refused: `${gate.name} is approved already: ${gate.chosen}` };
  if (answer.plan !== undefined && answer.plan !== gate.plan) {
    return { refused: `the plan ${answer.plan} is not the one that is shown now: ${gate.plan}` };
  }
  if (gate.excluded !== undefined && samePerson(gate.excluded, approver)) {
    return { refused: `${approver} started the run, and whoever did may not approve it` };
  }
  const choice = choiceOf(gate, answer.choice);
  if (typeof choice !== 'string') return choice;
  const approval: Approval = { approver, choice, reason, at, planNamed: answer.plan !== undefined };
  const earlier = gate.approvals.find((each) => samePerson(each.approver, approver));
  const counted = countFor(withApproval(gate.approvals, approval), choice);
  const change = !earlier ? '' : earlier.choice === choice ? ' once more' : ` instead of ${earlier.choice}`;
  return { approval, told: `${approver} approved ${choice}${change} (${counted} of ${gate.required})` };
}

function choiceOf({ choices, default: standard }: GateOpen, wanted: string | undefined): string | { refused: string } {
  const ids = choices.length > 0 ? choices.map(({ id }) => id) : [ONLY_CHOICE];
  if (wanted !== undefined) {
    return ids.includes(wanted) ? wanted : { refused: `there is no choice ${wanted}; there are: ${ids.join(', ')}` };
  }
  const only = ids.length === 1 ? ids[0] : standard;
  return only ?? { refused: `a choice is needed, one of: ${ids.join(', ')}` };
}

/** The same approver counts once, with the choice made last. */
export function withApproval(approvals: readonly Approval[], approval: Approval): readonly Approval[] {
  return [...approvals.filter(({ approver }) => !samePerson(approver, approval.approver)), approval];
}

/** Approvals of different choices do not add up. */
export function countFor(approvals: readonly Approval[], choice: string): number {
  return approvals.filter((approval) => approval.choice === choice).length;
}

/** The most that agree on one choice: what is shown against `required`. */
export function agreeing(approvals: readonly Approval[]): number {
  return Math.max(0, ...approvals.map(({ choice }) => countFor(approvals, choice)));
}

/** A choice that enough approvers agree on. */
export function chosenOf(gate: Pick<GateOpen, 'approvals' | 'required'>): string | undefined {
  return gate.approvals.find(({ choice }) => countFor(gate.approvals, choice) >= gate.required)?.choice;
}

/** A step that waits for a person, as answers to it are judged. */
export interface ParkedStep {
  readonly step: string;
  readonly plan: string;
  readonly safeToSkip: boolean;
  /** Looks at corrected input. @returns a sentence that refuses it */
  readonly refuses?: (input: Readonly<Record<string, unknown>>) => string | undefined;
}

/** @returns why the answer does not count for this step, or undefined when it does */
export function refusedWhileParked(parked: ParkedStep, answer: Answer): string | undefined {
  const named = answer.gate;
  if (named !== undefined && named !== parked.step && named !== 'parked') {
    return `${named} is not parked; ${parked.step} is`;
  }
  if (answer.plan !== undefined && answer.plan !== parked.plan) {
    return `${answer.plan} is not what is shown now: ${parked.plan}`;
  }
  if (answer.kind === 'skip' && !parked.safeToSkip) return `${parked.step} cannot be left out safely: retry or abort`;
  return answer.input && parked.refuses?.(answer.input);
}
