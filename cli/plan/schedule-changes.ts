import type { Client } from '@temporalio/client';
import { RewindError } from '../../errors/rewind-error.ts';
import { planSchedules, type ScheduleChange } from '../../schedules/reconcile.ts';
import { wantedSchedules } from '../../schedules/wanted.ts';
import { connectClient } from '../../workers/temporal-connection.ts';
import type { EffectiveConfig } from '../effective-config.ts';
import { labelled } from '../wrap.ts';

/** What `apply` would do to the schedules. */
export interface SchedulesSeen {
  /** Absent where Temporal cannot be asked; then `unknown` says so. */
  readonly client?: Client;
  readonly unknown?: string;
  readonly changes: readonly ScheduleChange[];
  /** As `--json` prints it; absent where it is not known. */
  readonly document?: readonly { readonly change: ScheduleChange['change']; readonly id: string }[];
  close(): Promise<void>;
}

export async function seeSchedules({ config, temporal }: EffectiveConfig): Promise<SchedulesSeen> {
  let client: Client;
  try {
    client = await connectClient(temporal);
  } catch (error) {
    if (!(error instanceof RewindError) || error.code !== 'TEMPORAL_UNREACHABLE') throw error;
    const unknown = `${error.message}; what apply would change among the schedules is not known`;
    return { unknown, changes: [], close: async () => undefined };
  }
  try {
    const changes = await planSchedules(client, config.deployment, wantedSchedules(config));
    return { client, changes, document: changes.map(asDocument), close: () => client.connection.close() };
  } catch (error) {
    await client.connection.close();
    throw error;
  }
}

function asDocument(step: ScheduleChange) {
  if (!('wanted' in step)) return step;
  const { wanted, ...rest } = step;
  return { ...rest, id: wanted.id, instance: wanted.instance };
}

/** What would be done. A removal is not to be overlooked. */
export function changeText(step: ScheduleChange): string {
  switch (step.change) {
    case 'create':
      return labelled('create', `${step.wanted.id}, ${step.wanted.inWords}`);
    case 'update':
      return labelled('update', `${step.wanted.id}, to ${step.wanted.inWords}`);
    case 'keep': {
      const paused = step.paused === undefined ? '' : `; PAUSED: ${step.paused || 'without a note'}`;
      return labelled('keep', `${step.wanted.id}, ${step.wanted.inWords}${paused}`);
    }
    case 'foreign':
      return labelled('REFUSE', `${step.wanted.id}: it belongs to ${step.owner ?? 'something else'}`);
    case 'remove':
      return labelled('REMOVE', `${step.id}: its instance is not configured any more, or has no schedule`);
  }
}
