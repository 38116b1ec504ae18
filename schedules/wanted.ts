import type { LoadedConfig } from '../config/load.ts';
import { instancesInForce, policyOf } from '../policy/instance-policy.ts';
import { scheduleSpec } from '../policy/schedule-spec.ts';
import type { WantedSchedule } from './reconcile.ts';

/** The schedules that a configuration asks for: one for each instance that is not a mere cache. */
export function wantedSchedules(config: LoadedConfig): WantedSchedule[] {
  return instancesInForce(config).flatMap((instance) => {
    const { schedule } = policyOf(config, instance);
    return schedule ? [{ id: `backup/${instance}`, instance, spec: scheduleSpec(schedule) }] : [];
  });
}
