import { createHash } from 'node:crypto';
import {
  type Client,
  ScheduleAlreadyRunning,
  type ScheduleDescription,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
} from '@temporalio/client';
import { RewindError } from '../errors/rewind-error.ts';
import { searchAttributes } from '../workflows/search-attributes.ts';
import type { WantedSchedule } from './wanted.ts';

export type ScheduleChange =
  | { readonly change: 'create' | 'update'; readonly wanted: WantedSchedule }
  /** `paused`: the note of who paused it. Its times are still as configured. */
  | { readonly change: 'keep'; readonly wanted: WantedSchedule; readonly paused?: string }
  /** Somebody else's schedule has the name: it is never touched. */
  | { readonly change: 'foreign'; readonly wanted: WantedSchedule; readonly owner?: string }
  | { readonly change: 'remove'; readonly id: string };

/** Whose a schedule is: in its own memo, so that a list call tells. */
const OWNER = 'rewindDeployment';

/** What it was made from: in the memo of the runs it starts, because Temporal cannot change a schedule's own. */
const DIGEST = 'rewindSchedule';

/**
 * What has to be done so that Temporal has the schedules of this deployment and no other of its own. Schedules without
 * our deployment id in the memo are somebody else's: they are not looked at, let alone removed.
 */
export async function planSchedules(
  client: Client,
  deployment: string,
  wanted: readonly WantedSchedule[],
): Promise<ScheduleChange[]> {
  const changes: ScheduleChange[] = [];
  for (const schedule of wanted) changes.push(await changeFor(client, deployment, schedule));
  const names = new Set(wanted.map(({ id }) => id));
  for await (const { scheduleId, memo } of client.schedule.list()) {
    if (names.has(scheduleId) || memo?.[OWNER] !== deployment) continue;
    // The list may be some seconds old.
    if (await describe(client, scheduleId)) changes.push({ change: 'remove', id: scheduleId });
  }
  return changes;
}

async function changeFor(client: Client, deployment: string, wanted: WantedSchedule): Promise<ScheduleChange> {
  const existing = await describe(client, wanted.id);
  if (!existing) return { change: 'create', wanted };
  const owner = existing.memo?.[OWNER];
  if (owner !== deployment) return { change: 'foreign', wanted, ...(typeof owner === 'string' ? { owner } : {}) };
  const { state } = existing;
  if (!isAsMade(existing, scheduleOptions(deployment, wanted))) return { change: 'update', wanted };
  return { change: 'keep', wanted, ...(state.paused ? { paused: state.note ?? '' } : {}) };
}

/** The digest tells of a changed configuration; the times themselves of an edit in the UI, which keeps the digest. */
function isAsMade({ action, spec, policies }: ScheduleDescription, made: ReturnType<typeof scheduleOptions>): boolean {
  const intervals = (spec.intervals ?? []).map(({ every, offset }) => [every, offset]);
  const madeIntervals = (made.spec.intervals ?? []).map(({ every, offset }) => [every, offset]);
  return (
    action.memo?.[DIGEST] === made.action.memo[DIGEST] &&
    JSON.stringify(intervals) === JSON.stringify(madeIntervals) &&
    policies.overlap === made.policies.overlap
  );
}

async function describe(client: Client, id: string): Promise<ScheduleDescription | undefined> {
  try {
    return await client.schedule.getHandle(id).describe();
  } catch (error) {
    if (error instanceof ScheduleNotFoundError) return undefined;
    throw error;
  }
}

/**
 * Makes the plan so. Twice the same does nothing the second time.
 *
 * @throws SCHEDULE_FOREIGN before anything is changed
 */
export async function applySchedules(
  client: Client,
  deployment: string,
  plan: readonly ScheduleChange[],
): Promise<void> {
  for (const step of plan) if (step.change === 'foreign') throw foreign(step.wanted.id, step.owner);
  for (const step of plan) {
    if (step.change === 'create') await create(client, deployment, step.wanted);
    else if (step.change === 'update') await update(client, deployment, step.wanted);
    else if (step.change === 'remove') await remove(client, step.id);
  }
}

async function create(client: Client, deployment: string, wanted: WantedSchedule): Promise<void> {
  try {
    await client.schedule.create(scheduleOptions(deployment, wanted));
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    // Made by another process since the plan: perhaps by our own deployment, at the same moment.
    await update(client, deployment, wanted);
  }
}

/** Changed in place: what was missed is still made up for, and somebody's pause outlives the change. */
async function update(client: Client, deployment: string, wanted: WantedSchedule): Promise<void> {
  const handle = client.schedule.getHandle(wanted.id);
  const { memo } = await handle.describe();
  if (memo?.[OWNER] !== deployment) throw foreign(wanted.id, memo?.[OWNER]);
  const { scheduleId: _, memo: __, ...options } = scheduleOptions(deployment, wanted);
  await handle.update(({ state }) => ({ ...options, state: state.paused ? state : { ...state, ...options.state } }));
}

async function remove(client: Client, id: string): Promise<void> {
  try {
    await client.schedule.getHandle(id).delete();
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
  }
}

function foreign(id: string, owner: unknown): RewindError {
  const former =
    typeof owner === 'string'
      ? ` It belongs to ${owner}; if that is this deployment under an earlier repository.url, write deployment: ${owner} into rewind.yaml.`
      : '';
  return new RewindError('SCHEDULE_FOREIGN', `A schedule ${id} exists that is not of this deployment.${former}`);
}

function scheduleOptions(deployment: string, { id, instance, spec, inWords }: WantedSchedule) {
  const options = {
    scheduleId: id,
    memo: { [OWNER]: deployment },
    spec: {
      intervals: spec.intervals?.map(({ everyMs, offsetMs }) => ({ every: everyMs, offset: offsetMs })),
      cronExpressions: spec.cronExpressions && [...spec.cronExpressions],
      jitter: spec.jitterMs,
      timezone: spec.timezone,
    },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: spec.catchupMs },
    state: { note: `Backup of ${instance} ${inWords}` },
    typedSearchAttributes: [{ key: searchAttributes.instance, value: instance }],
    action: {
      type: 'startWorkflow' as const,
      workflowType: 'scheduledBackup',
      workflowId: `backup/${instance}`,
      taskQueue: 'rewind',
      args: [{ instance }] as [{ instance: string }],
      staticSummary: `Backup of ${instance}`,
      typedSearchAttributes: [{ key: searchAttributes.instance, value: instance }],
    },
  };
  const digest = createHash('sha256').update(JSON.stringify(options)).digest('hex').slice(0, 16);
  return { ...options, action: { ...options.action, memo: { [DIGEST]: digest } } };
}
