import { ActivityCancellationType } from '@temporalio/workflow';
import type { InstancePolicy } from '../policy/instance-policy.ts';

/** How often a step is tried before its error is the run's. With waits that double up to half a minute: ten minutes. */
const ATTEMPTS = 25;

/** Timeouts and retries of every step, from the one options object that the configuration gives. */
export function patienceOf({ timeouts }: InstancePolicy) {
  return {
    // What a cancelled step still does would be done after the clean-up: a part that comes in, a folder that is made.
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    scheduleToStartTimeout: timeouts.roleSilenceMs,
    heartbeatTimeout: timeouts.heartbeatMs,
    startToCloseTimeout: timeouts.stepMs,
    retry: {
      initialInterval: timeouts.retryMs,
      backoffCoefficient: 2,
      maximumInterval: Math.max(timeouts.retryMs, 30_000),
      maximumAttempts: ATTEMPTS,
    },
  };
}
