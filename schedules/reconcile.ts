import { createHash } from 'node:crypto';
import { type Client, ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy } from '@temporalio/client';
import { RewindError } from '../errors/rewind-error.ts';
import type { ScheduleSpec } from '../policy/schedule-spec.ts';
import { searchAttributes } from '../workflows/search-attributes.ts';

/** A schedule that the configuration asks for. */
export interface WantedSchedule {
  readonly id: string;
  readonly instance: string;
  readonly spec: ScheduleSpec;
}

export type ScheduleChange =
  | { readonly change: 'create' | 'update' | 'keep'; readonly wanted: WantedSchedule }
  | { readonly change: 'remove'; readonly id: string };

/** Whose a schedule is: in its own memo, so that a list call tells. */
const OWNER = 'rewindDeployment';

/** What it was made from: in the memo of the runs it starts, because Temporal cannot change a schedule's own. */
const DIGEST = 'rewindSchedule';

/**
 * What has to be done so that Temporal has the schedules of this deployment and no other of its own. Schedules without
 * our deployment id in the memo are somebody else's and are not looked at.
 */
export async function planSchedules(
  client: Client,
  deployment: string,
  wanted: readonly WantedSchedule[],
): Promise<ScheduleChange[]> {
  const existing = new Map<string, unknown>();
  for await (const schedule of client.schedule.list()) {
    if (schedule.memo?.[OWNER] !== deployment) continue;
    const { action } = await client.schedule.getHandle(schedule.scheduleId).describe();
    existing.set(schedule.scheduleId, action.memo?.[DIGEST]);
  }
  const changes: ScheduleChange[] = wanted.map((schedule) => {
    if (!existing.has(schedule.id)) return { change: 'create', wanted: schedule };
    return { change: existing.get(schedule.id) === digestOf(schedule) ? 'keep' : 'update', wanted: schedule };
  });
  const names = new Set(wanted.map(({ id }) => id));
  for (const id of existing.keys()) if (!names.has(id)) changes.push({ change: 'remove', id });
  return changes;
}

/** Makes the plan so. Twice the same does nothing the second time. */
export async function applySchedules(
  client: Client,
  deployment: string,
  plan: readonly ScheduleChange[],
): Promise<void> {
  for (const step of plan) {
    if (step.change === 'remove') {
      await client.schedule
        .getHandle(step.id)
        .delete()
        .catch((error) => {
          if (!(error instanceof ScheduleNotFoundError)) throw error;
        });
    } else if (step.change !== 'keep') {
      await createOrReplace(client, deployment, step.wanted);
    }
  }
}

/** Somebody's pause of a schedule outlives the change of its times. */
async function createOrReplace(client: Client, deployment: string, wanted: WantedSchedule): Promise<void> {
  const options = scheduleOptions(deployment, wanted);
  try {
    await client.schedule.create(options);
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    const handle = client.schedule.getHandle(wanted.id);
    const { memo } = await handle.describe();
    if (memo?.[OWNER] !== deployment) {
      throw new RewindError(
        'SCHEDULE_FOREIGN',
        `A schedule ${wanted.id} exists that is not of this deployment (${deployment}).`,
      );
    }
    await handle.update(({ state }) => ({ ...options, state }));
  }
}

function scheduleOptions(deployment: string, wanted: WantedSchedule) {
  const { spec, instance, id } = wanted;
  return {
    scheduleId: id,
    memo: { [OWNER]: deployment },
    spec: {
      intervals: spec.intervals?.map(({ everyMs, offsetMs }) => ({ every: everyMs, offset: offsetMs })),
      cronExpressions: spec.cronExpressions && [...spec.cronExpressions],
      jitter: spec.jitterMs,
      timezone: spec.timezone,
    },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: spec.catchupMs },
    typedSearchAttributes: [{ key: searchAttributes.instance, value: instance }],
    action: {
      type: 'startWorkflow' as const,
      workflowType: 'scheduledBackup',
      workflowId: `backup/${instance}`,
      taskQueue: 'rewind',
      args: [{ instance }] as [{ instance: string }],
      memo: { [DIGEST]: digestOf(wanted) },
      staticSummary: `Backup of ${instance}`,
      typedSearchAttributes: [{ key: searchAttributes.instance, value: instance }],
    },
  };
}

function digestOf({ id, instance, spec }: WantedSchedule): string {
  return createHash('sha256')
    .update(JSON.stringify([id, instance, spec]))
    .digest('hex')
    .slice(0, 16);
}
