import type { StepIO } from '../../process/step-io.ts';
import { wordsOf } from './ask-server.ts';
import { isPrimaryAddress } from './copies.ts';
import { type CopiesAsked, surveyCopies } from './survey-copies.ts';
import { type ActOptions, atServer, follow, untilInSync, worldChanged } from './world.ts';

/** A replica as it was taken over. */
export interface Repointed {
  readonly address: string;
  readonly inSync: boolean;
  /** Why it is not in sync. */
  readonly reason?: string;
}

/** Partial synchronizations take a moment; a full one of much data goes on behind it. */
const REPOINT_MS = 30_000;

/**
 * Lets every replica that follows the node (or `primary` already) follow `primary`, so that nobody copies what the node
 * holds when it is started. Those that do not get in sync are named, and no failure.
 */
export async function repointReplicas(
  asked: CopiesAsked,
  primary: string,
  options: ActOptions,
  io: StepIO,
): Promise<Repointed[]> {
  const survey = await surveyCopies(asked, io, options.limits);
  const source = survey.servers.find(({ address }) => address === primary);
  if (source?.role !== 'primary') throw worldChanged(`${primary} is no primary that answers.`);
  const others = survey.servers.filter(
    ({ address, follows, foundBy }) =>
      address !== primary &&
      foundBy !== 'configured-primary' &&
      follows &&
      (isPrimaryAddress(survey, follows.address) || follows.address === primary),
  );
  return Promise.all(
    others.map(async ({ address, follows }) => {
      try {
        if (follows?.address !== primary) {
          await atServer(asked, address, (redis) => follow(redis, primary), options.limits);
        }
        await untilInSync(asked, address, primary, options.timeoutMs ?? REPOINT_MS, io);
        return { address, inSync: true };
      } catch (error) {
        io.signal.throwIfAborted();
        return { address, inSync: false, reason: wordsOf(error) };
      }
    }),
  );
}
