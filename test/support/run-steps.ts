import type { Client, WorkflowHandle } from '@temporalio/client';
import type { temporal } from '@temporalio/proto';

type HistoryEvent = temporal.api.history.v1.IHistoryEvent;

/** The events of a run as they come, until it has ended. */
async function* eventsOf(client: Client, run: WorkflowHandle): AsyncGenerator<HistoryEvent> {
  let nextPageToken: Uint8Array | undefined;
  for (;;) {
    const page = await client.workflowService.getWorkflowExecutionHistory({
      namespace: client.options.namespace,
      execution: { workflowId: run.workflowId },
      waitNewEvent: true,
      nextPageToken,
    });
    yield* page.history?.events ?? [];
    if (!page.nextPageToken?.length) return;
    nextPageToken = page.nextPageToken;
  }
}

/** Waits until a step was given out (`scheduled`: a worker may have it in the next millisecond) or has ended well. */
export async function untilStep(
  client: Client,
  run: WorkflowHandle,
  step: string,
  state: 'scheduled' | 'completed' = 'scheduled',
): Promise<void> {
  const scheduled = new Set<string>();
  for await (const event of eventsOf(client, run)) {
    if (event.activityTaskScheduledEventAttributes?.activityType?.name === step) {
      if (state === 'scheduled') return;
      scheduled.add(String(event.eventId));
    }
    const completed = event.activityTaskCompletedEventAttributes;
    if (completed && scheduled.has(String(completed.scheduledEventId))) return;
  }
  throw new Error(`the run ended before ${step} was ${state}`);
}

/** The steps of a run in the order in which they were given out, each with the attempts that it took. */
export async function stepsOf(run: WorkflowHandle): Promise<{ step: string; attempts: number }[]> {
  const { events } = await run.fetchHistory();
  const steps = new Map<string, { step: string; attempts: number }>();
  for (const event of events ?? []) {
    const given = event.activityTaskScheduledEventAttributes;
    if (given) steps.set(String(event.eventId), { step: given.activityType?.name ?? '', attempts: 0 });
    const started = event.activityTaskStartedEventAttributes;
    const step = started && steps.get(String(started.scheduledEventId));
    if (step) step.attempts = started.attempt ?? 0;
  }
  return [...steps.values()];
}
