import { condition, defineSignal, proxyActivities, setHandler } from '@temporalio/workflow';
import type { AnswersActivities } from '../../activities/answers.ts';
import { failureCode, sentenceOf } from '../../workflows/failure-code.ts';
import { type ApprovalPolicy, type GateAnswer, type GatePlan, Gates } from '../../workflows/gate.ts';
import type { Choice } from '../../workflows/gate-decision.ts';
import type { Decision } from '../../workflows/gate-record.ts';
import { withPatience } from '../../workflows/park.ts';
import { RunStory } from '../../workflows/run-story.ts';

/** Steps that do what a file says, so that a test has them fail and mend. */
export interface GateTestActivities {
  /** The plan that stands in the file. */
  lookAgain(file: string): Promise<GatePlan | undefined>;
  /** What the file says: a failure, or its input back. */
  doStep<Input extends { file: string }>(input: Input): Promise<Input>;
}

export const goSignal = defineSignal('go');

export interface GatedInput {
  readonly instance: string;
  readonly approval: ApprovalPolicy;
  readonly choices?: readonly Choice[];
  readonly default?: string;
  readonly plan?: unknown;
  readonly starter?: string;
  /** Waits for the signal `go` before it asks. */
  readonly hold?: boolean;
  /** A second gate of this name after the first. */
  readonly second?: string;
  readonly look?: { readonly file: string; readonly everyMs: number; readonly queue?: string };
  readonly remindEveryMs?: number;
}

export interface GatedResult {
  readonly answers: readonly GateAnswer[];
  readonly failure?: { readonly code: string; readonly message: string };
  readonly decisions: readonly Decision[];
}

const quick = { startToCloseTimeout: '10s', heartbeatTimeout: '5s' } as const;

/** Asks at the gate `restore`, and tells everything that happened there. */
export async function gatedRun(input: GatedInput): Promise<GatedResult> {
  const story = new RunStory('Recovery', input.instance);
  const { readAnswers } = proxyActivities<AnswersActivities>(quick);
  const gates = new Gates(story, undefined, { starter: input.starter, readAnswers });
  let go = !input.hold;
  setHandler(goSignal, () => {
    go = true;
  });
  const answers: GateAnswer[] = [];
  const lookAt = proxyActivities<GateTestActivities>({ ...failing, taskQueue: input.look?.queue }).lookAgain;
  const { look, choices = [], plan = { keys: 1 } } = input;
  try {
    await condition(() => go);
    story.phase('planning');
    gates.under(input);
    for (const name of ['restore', ...(input.second ? [input.second] : [])]) {
      answers.push(
        await gates.ask({
          name,
          summary: 'Puts 1 key back.',
          choices,
          default: input.default,
          plan,
          ...(look ? { refresh: () => lookAt(look.file), refreshEveryMs: look.everyMs } : {}),
          ...(input.remindEveryMs ? { reminders: { everyMs: input.remindEveryMs } } : {}),
        }),
      );
    }
    story.phase('restoring');
    return { answers, decisions: await gates.recorded() };
  } catch (error) {
    const failure = { code: failureCode(error), message: sentenceOf(error) };
    return { answers, failure, decisions: await gates.recorded() };
  } finally {
    await gates.close();
  }
}

const failing = { ...quick, retry: { maximumAttempts: 2 } };
const { doStep } = proxyActivities<GateTestActivities>(failing);

export interface ParkedInput {
  readonly instance: string;
  readonly step: { readonly file: string; readonly rate: number };
  readonly safeToSkip?: boolean;
  /** A second step at the same time. */
  readonly beside?: { readonly file: string };
  /** Asks at a gate at the same time. */
  readonly approval?: ApprovalPolicy;
}

export interface ParkedResult {
  readonly step?: unknown;
  readonly beside?: unknown;
  readonly answer?: GateAnswer;
  readonly failure?: { readonly code: string; readonly message: string };
  readonly decisions: readonly Decision[];
}

export async function parkedRun(input: ParkedInput): Promise<ParkedResult> {
  const story = new RunStory('Recovery', input.instance);
  const gates = new Gates(story, input.approval && { approval: input.approval });
  const patience = { gates, story, alreadyDone: () => 'The fence stands; 10 keys are back.' };
  story.phase('restoring');
  try {
    const place = () =>
      input.safeToSkip
        ? withPatience('placeFiles', doStep, { ...patience, input: input.step, safeToSkip: true })
        : withPatience('placeFiles', doStep, {
            ...patience,
            input: input.step,
            correctable: ['note' as never],
            refuses: ({ rate }) => (rate > 100 ? 'rate is at most 100' : undefined),
          });
    const { beside } = input;
    const [step, other, answer] = await Promise.all([
      place(),
      beside && withPatience('watchFence', doStep, { ...patience, input: beside }),
      input.approval && gates.ask({ name: 'restore', summary: 'Puts 1 key back.', choices: [], plan: { keys: 1 } }),
    ]);
    return { step, beside: other, answer, decisions: gates.decisions };
  } catch (error) {
    return { failure: { code: failureCode(error), message: sentenceOf(error) }, decisions: gates.decisions };
  } finally {
    await gates.close();
  }
}
