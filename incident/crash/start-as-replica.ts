import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { addressOf } from '../../redis/connection.ts';
import { wordsOf } from './ask-server.ts';
import { primaryItself } from './copies.ts';
import { type CopiesAsked, surveyCopies } from './survey-copies.ts';
import { type ActOptions, assertNoOtherPrimary, atServer, follow, untilInSync, worldChanged } from './world.ts';

/** A full synchronization of a big dataset takes its time; its progress is told. */
const SYNC_MS = 30 * 60_000;

export interface FollowedPrimary {
  readonly primary: string;
  readonly alreadyDone: boolean;
  /** Of the node, in sync. */
  readonly keys: number;
  /** The replication is not in the node's configuration file: after its next start it would be a primary again. */
  readonly written: boolean;
}

/**
 * Makes the crashed node, which was just started, a replica of `primary`, and waits until it is in sync. What it held is
 * replaced by what the primary holds. Done twice it is done once.
 *
 * @param options.rewriteConfig also write it into the node's configuration file (CONFIG REWRITE)
 * @throws CRASH_WORLD_CHANGED when that is no primary any more or another one is there; CRASH_LINK_NOT_UP, REDIS_*
 */
export async function startAsReplica(
  asked: CopiesAsked,
  primary: string,
  options: ActOptions & { readonly rewriteConfig?: boolean },
  io: StepIO,
): Promise<FollowedPrimary> {
  const survey = await surveyCopies(asked, io, options.limits);
  const source = survey.servers.find(({ address }) => address === primary);
  if (!source) throw worldChanged(`${primary} does not answer any more.`);
  if (source.role !== 'primary') throw worldChanged(`${primary} is a replica of ${source.follows?.address} now.`);
  assertNoOtherPrimary(survey, [primary, ...(options.knownPrimaries ?? [])]);
  const node = primaryItself(survey);
  if (!node) {
    const silent = survey.silent.find(({ foundBy }) => foundBy === 'configured-primary');
    const loading = silent?.code === 'REDIS_LOADING';
    throw new RewindError(
      loading ? 'REDIS_LOADING' : 'REDIS_UNREACHABLE',
      `${survey.primary}: ${silent?.reason ?? 'no answer'}`,
    );
  }
  const alreadyDone = node.follows?.address === primary;
  if (!alreadyDone) {
    await atServer(
      asked,
      survey.primary,
      (redis) => follow(redis, primary).catch(refused(survey.primary)),
      options.limits,
    );
  }
  await untilInSync(asked, survey.primary, primary, options.timeoutMs ?? SYNC_MS, io);
  const written = options.rewriteConfig ? await rewriteConfig(asked, options) : false;
  const after = primaryItself(await surveyCopies({ ...asked, sentinel: undefined }, io, options.limits));
  return { primary, alreadyDone, keys: after?.keys ?? 0, written };
}

/** A server that was started without a file, or may not write it, answers with an error: that is said, and no failure. */
async function rewriteConfig(asked: CopiesAsked, options: ActOptions): Promise<boolean> {
  const rewrite = atServer(asked, addressOf(asked.primary), (redis) => redis.config('REWRITE'), options.limits);
  return rewrite.then(
    () => true,
    () => false,
  );
}

const refused = (address: string) => (error: Error) => {
  throw new RewindError('CRASH_LINK_NOT_UP', `${address} refused REPLICAOF: ${wordsOf(error)}`);
};
