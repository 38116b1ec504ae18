import { ApplicationFailure, type TemporalFailure } from '@temporalio/workflow';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import { failureCode } from './failure-code.ts';
import { seconds } from './figures.ts';
import type { RunStory } from './run-story.ts';

/**
 * Runs steps of an instance's host agent. Nobody there to take one is an error of its own: an agent has to be started.
 *
 * @throws what the step fails with; AGENT_SILENT
 */
export function hostSteps({ instance, hostQueue, timeouts }: InstancePolicy, story: RunStory) {
  return async <T>(step: string, run: () => Promise<T>): Promise<T> => {
    story.step(step);
    try {
      return await run();
    } catch (error) {
      if (failureCode(error) !== 'TIMEOUT_SCHEDULE_TO_START') throw error;
      throw ApplicationFailure.create({
        type: 'AGENT_SILENT',
        nonRetryable: true,
        message: `No host agent of ${instance} took \`${step}\` from ${hostQueue} within ${seconds(timeouts.roleSilenceMs)}: start rewind worker --role host --instance ${instance}`,
        cause: error as TemporalFailure,
      });
    }
  };
}
