import type { StepIO } from '../../process/step-io.ts';
import { isPrimaryAddress, primaryItself } from './copies.ts';
import { type CopiesAsked, surveyCopies } from './survey-copies.ts';
import { type ActOptions, atServer, follow, untilInSync, worldChanged } from './world.ts';

const SYNC_MS = 30 * 60_000;

/**
 * Has a replica that was taken off the node for its dump follow the node again, which was started from that dump. Done
 * twice it is done once.
 *
 * @param node host:port of the node as the replica knew it
 * @throws CRASH_WORLD_CHANGED when the node is no primary, or the replica follows somebody else; CRASH_LINK_NOT_UP, REDIS_*
 */
export async function followAgain(
  asked: CopiesAsked,
  address: string,
  node: string,
  options: ActOptions,
  io: StepIO,
): Promise<void> {
  const survey = await surveyCopies(asked, io, options.limits);
  if (primaryItself(survey)?.role !== 'primary') throw worldChanged(`${survey.primary} is no primary that answers.`);
  const copy = survey.servers.find((each) => each.address === address);
  if (!copy) throw worldChanged(`${address} does not answer any more.`);
  const { follows } = copy;
  if (follows && follows.address !== node && !isPrimaryAddress(survey, follows.address)) {
    throw worldChanged(`${address} follows ${follows.address} now.`);
  }
  if (!follows) await atServer(asked, address, (redis) => follow(redis, node), options.limits);
  await untilInSync(asked, address, follows?.address ?? node, options.timeoutMs ?? SYNC_MS, io);
}
