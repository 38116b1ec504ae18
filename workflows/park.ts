import { isCancellation, TemporalFailure } from '@temporalio/workflow';
import { failureCode, sentenceOf } from './failure-code.ts';
import type { Gates } from './gate.ts';
import type { RunStory } from './run-story.ts';

export interface Patience<Input extends object> {
  readonly gates: Gates;
  readonly story: RunStory;
  /** What the step is called with; a person's correction is laid over it. No secret: it stands in the history. */
  readonly input?: Input;
  /** Names that a correction may carry beside those of `input`. */
  readonly correctable?: readonly (keyof Input & string)[];
  /** Looks at a corrected input. @returns a sentence that refuses it */
  readonly refuses?: (input: Input) => string | undefined;
  /** What is done and stands, in a sentence, for whoever decides. */
  readonly alreadyDone: () => string;
  /** Codes that are the run's own end, not a reason to wait for a person. */
  readonly passes?: ReadonlySet<string>;
}

/** A person has decided already: asking another one about it would be odd. */
const DECIDED = new Set(['GATE_REJECTED', 'GATE_TIMED_OUT', 'ABORTED']);

/**
 * Runs a step, whose own retries are its activity's. When it fails for good the run parks and waits, without end, for
 * somebody who has it tried again (with corrected input), left out where that is safe, or ends the run. Nothing fails by
 * itself in the middle of an incident.
 *
 * @returns what the step returned; undefined when it was left out
 * @throws ApplicationFailure ABORTED
 */
export function withPatience<T, Input extends object>(
  step: string,
  run: (input: Input) => Promise<T>,
  patience: Patience<Input> & { readonly safeToSkip: true },
): Promise<T | undefined>;
export function withPatience<T, Input extends object>(
  step: string,
  run: (input: Input) => Promise<T>,
  patience: Patience<Input> & { readonly safeToSkip?: false },
): Promise<T>;
export async function withPatience<T, Input extends object>(
  step: string,
  run: (input: Input) => Promise<T>,
  patience: Patience<Input> & { readonly safeToSkip?: boolean },
): Promise<T | undefined> {
  const { gates, story, alreadyDone, safeToSkip = false } = patience;
  let input = patience.input ?? ({} as Input);
  for (;;) {
    try {
      return await run(input);
    } catch (error) {
      // A fault in this code is not one that a person could mend: the workflow task waits for a repaired version.
      if (isCancellation(error) || !(error instanceof TemporalFailure)) throw error;
      const code = failureCode(error);
      if (DECIDED.has(code) || patience.passes?.has(code)) throw error;
      const decided = await gates.park({
        step,
        code,
        message: sentenceOf(error),
        next: nextOf(error),
        safeToSkip,
        alreadyDone: alreadyDone(),
        refuses: (correction) =>
          unknownIn(correction, input, patience.correctable) ?? patience.refuses?.({ ...input, ...correction }),
      });
      if (decided.kind === 'skip') return undefined;
      input = { ...input, ...decided.input };
      story.step(step);
    }
  }
}

/** A name that is typed wrong must not be ignored in silence. */
function unknownIn(correction: object, input: object, correctable: readonly string[] = []): string | undefined {
  const known = [...new Set([...Object.keys(input), ...correctable])];
  const unknown = Object.keys(correction).filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    return `the step has no input ${unknown.join(', ')}; ${known.length > 0 ? `it has: ${known.join(', ')}` : 'it takes none'}`;
  }
  for (const [name, value] of Object.entries(correction)) {
    const present = (input as Record<string, unknown>)[name];
    if (present !== undefined && present !== null && kindOf(value) !== kindOf(present)) {
      return `${name} is a ${kindOf(present)}, not a ${kindOf(value)}`;
    }
  }
  return undefined;
}

const kindOf = (value: unknown) => (Array.isArray(value) ? 'list' : value === null ? 'null' : typeof value);

/** What the error itself advises: activities put it into their failure's details. */
function nextOf(error: TemporalFailure): string | undefined {
  const cause = (error.cause ?? error) as { details?: unknown[] };
  const [told] = (cause.details ?? []) as { next?: unknown }[];
  return typeof told?.next === 'string' ? told.next : undefined;
}
