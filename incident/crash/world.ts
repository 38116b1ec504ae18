import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { infoNumber, readInfo } from '../../redis/info.ts';
import { topologyOf } from '../../redis/topology.ts';
import { type AskLimits, connectBounded } from './ask-server.ts';
import type { CopiesSurvey } from './copies.ts';
import { promotedPrimaries } from './ranked-copies.ts';
import { askLimits, type CopiesAsked, targetAt } from './survey-copies.ts';

/** What a step that changes roles is given. */
export interface ActOptions {
  /** Most that is waited for the change, in ms. */
  readonly timeoutMs?: number;
  /** Primaries that are known and meant: replicas that were taken off the node on purpose. */
  readonly knownPrimaries?: readonly string[];
  readonly limits?: AskLimits;
}

export function worldChanged(message: string): RewindError {
  return new RewindError('CRASH_WORLD_CHANGED', message);
}

/** @throws CRASH_WORLD_CHANGED when a primary is there that the plan does not know */
export function assertNoOtherPrimary(survey: CopiesSurvey, known: readonly string[]): void {
  const other = promotedPrimaries(survey).find(({ address }) => !known.includes(address));
  if (other)
    throw worldChanged(`${other.address} is a primary now, with ${other.keys} keys: two would split the data.`);
  const { sentinels } = survey;
  if (sentinels?.promoted && sentinels.primary && !known.includes(sentinels.primary)) {
    throw worldChanged(`The Sentinels name ${sentinels.primary} as the primary now.`);
  }
}

/** Runs `use` with a short connection to the server at this address. */
export async function atServer<T>(
  asked: CopiesAsked,
  address: string,
  use: (redis: Redis) => Promise<T>,
  limits: AskLimits = askLimits,
): Promise<T> {
  const redis = await connectBounded(targetAt(asked, address), limits);
  try {
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

/** Waits until the server follows `primary` and is in sync; a replica that loads a dump answers nothing else meanwhile. */
export async function untilInSync(
  asked: CopiesAsked,
  address: string,
  primary: string,
  timeoutMs: number,
  io: StepIO,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let last = 'it did not answer';
  while (Date.now() < deadline) {
    io.signal.throwIfAborted();
    try {
      const info = await atServer(asked, address, (redis) => readInfo(redis, 'replication'));
      const { role, primary: link } = topologyOf(info);
      if (role === 'replica' && link?.address !== primary) {
        throw worldChanged(`${address} follows ${link?.address} now, not ${primary}.`);
      }
      if (link?.up && !link.synchronizing) return;
      const [done, total] = [infoNumber(info, 'master_sync_read_bytes'), infoNumber(info, 'master_sync_total_bytes')];
      last = link?.synchronizing ? 'it is being synchronized' : 'master_link_status is down';
      io.onProgress({
        phase: 'synchronize',
        ...(done !== undefined && total ? { done, total, unit: 'bytes' as const } : {}),
        note: last,
      });
    } catch (error) {
      if (!(error instanceof RewindError) || error.code === 'CRASH_WORLD_CHANGED') throw error;
      last = error.message;
      io.onProgress({ phase: 'synchronize', note: last });
    }
    await new Promise((settle) => setTimeout(settle, 200));
  }
  throw new RewindError(
    'CRASH_LINK_NOT_UP',
    `${address} is not in sync with ${primary} after ${timeoutMs / 1000} s: ${last}.`,
  );
}

/** `REPLICAOF host port` for an address; an IPv6 one has colons of its own. */
export async function follow(redis: Redis, primary: string): Promise<void> {
  const colon = primary.lastIndexOf(':');
  await redis.replicaof(primary.slice(0, colon).replace(/^\[|\]$/g, ''), Number(primary.slice(colon + 1)));
}
