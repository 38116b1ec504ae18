import type { Config } from '../config/config.ts';
import { instancesInForce, policyOf } from '../policy/instance-policy.ts';
import { type ScheduleSpec, scheduleSpec } from '../policy/schedule-spec.ts';
import { scheduleInWords } from './in-words.ts';

/** A schedule that the configuration asks for. */
export interface WantedSchedule {
  readonly id: string;
  readonly instance: string;
  readonly spec: ScheduleSpec;
  /** `every 6 h`: for lists and pages that people read. */
  readonly inWords: string;
}

/** The schedules that a configuration asks for: one for each instance that is not a mere cache. */
export function wantedSchedules(config: Config): WantedSchedule[] {
  return instancesInForce(config).flatMap((instance) => {
    const { schedule } = policyOf(config, instance);
    if (!schedule) return [];
    return [{ id: `backup/${instance}`, instance, spec: scheduleSpec(schedule), inWords: scheduleInWords(schedule) }];
  });
}
