import type { StepIO } from '../../process/step-io.ts';
import { stopFollowing } from './stop-following.ts';
import { type CopiesAsked, surveyCopies } from './survey-copies.ts';
import { type ActOptions, assertNoOtherPrimary, worldChanged } from './world.ts';

/**
 * Takes replicas off the node before it is started from older data, so that they keep what they hold. They are primaries
 * of their own then: name them in `knownPrimaries` of the steps that follow.
 *
 * @throws CRASH_WORLD_CHANGED, CRASH_PROMOTION_REFUSED, REDIS_*
 */
export async function detachReplicas(
  asked: CopiesAsked,
  addresses: readonly string[],
  options: ActOptions,
  io: StepIO,
): Promise<{ readonly detached: readonly string[] }> {
  const survey = await surveyCopies(asked, io, options.limits);
  assertNoOtherPrimary(survey, [...addresses, ...(options.knownPrimaries ?? [])]);
  for (const address of addresses) {
    const copy = survey.servers.find((each) => each.address === address);
    if (!copy) throw worldChanged(`${address} does not answer any more.`);
    if (copy.role === 'replica') await stopFollowing(asked, address, options);
  }
  return { detached: addresses };
}
