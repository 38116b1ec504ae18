import { activityInfo } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import { runStep } from './step.ts';

/** By which event of the history an answer came: its Temporal identity stands there, and nowhere else. */
export type AnswerEvent =
  | { readonly via: 'update'; readonly updateId: string }
  /** The n-th signal of its name in this run's history, from 1. */
  | { readonly via: 'signal'; readonly ordinal: number };

export interface RecordedAnswer {
  /** Name of the signal or update. */
  readonly kind: string;
  readonly event: AnswerEvent;
  readonly eventId: string;
  /** Who Temporal says that it was. */
  readonly identity?: string;
}

/** What a run's own history says of the answers to it. */
export interface AnswersOnRecord {
  /** Temporal's identity of whoever started the run. */
  readonly startedBy?: string;
  readonly answers: readonly RecordedAnswer[];
}

const names = new Set(['approve', 'reject', 'retry', 'skip', 'abort']);

/**
 * Who sent the answers of the run that asks: workflow code is not told, the events of its history say it. Payloads stay
 * there. An update that its validator rejected is in no history.
 */
export function answersActivities(client: Client) {
  return {
    readAnswers: (): Promise<AnswersOnRecord> =>
      runStep(async () => {
        const { workflowExecution } = activityInfo();
        // Outside a workflow there is no history to read.
        if (!workflowExecution) return { answers: [] };
        const { workflowId, runId } = workflowExecution;
        const { events } = await client.workflow.getHandle(workflowId, runId).fetchHistory();
        const signals = new Map<string, number>();
        const answers: RecordedAnswer[] = [];
        let startedBy: string | undefined;
        for (const event of events ?? []) {
          const eventId = String(event.eventId);
          startedBy ??= event.workflowExecutionStartedEventAttributes?.identity || undefined;
          const signal = event.workflowExecutionSignaledEventAttributes;
          if (signal?.signalName && names.has(signal.signalName)) {
            const ordinal = (signals.get(signal.signalName) ?? 0) + 1;
            signals.set(signal.signalName, ordinal);
            const identity = signal.identity || undefined;
            answers.push({ kind: signal.signalName, event: { via: 'signal', ordinal }, eventId, identity });
          }
          const update = event.workflowExecutionUpdateAcceptedEventAttributes?.acceptedRequest;
          if (update?.input?.name && names.has(update.input.name)) {
            const { updateId = '', identity } = update.meta ?? {};
            const from = { via: 'update', updateId: updateId ?? '' } as const;
            answers.push({ kind: update.input.name, event: from, eventId, identity: identity || undefined });
          }
        }
        return { startedBy, answers };
      }),
  };
}

export type AnswersActivities = ReturnType<typeof answersActivities>;
