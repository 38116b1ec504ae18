import { setTimeout as sleep } from 'node:timers/promises';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { followerOf } from './follow-aof.ts';
import { lockFollowing } from './follow-lock.ts';
import { type FollowOptions, followDefaults } from './follow-options.ts';
import { Follower } from './follower.ts';

/** What of a server that is down was still on its disk. */
export interface ShippedTail {
  /** Now in the archive. */
  readonly shippedBytes: number;
  /** Unfinished at the file's end: a start cuts it off. Undefined where the files are not known here. */
  readonly leftBytes?: number;
  /** Position up to which everything is in the archive. */
  readonly position?: number;
}

/**
 * Ships what a server that is down has left on the disk, before anything starts it again: a start cuts off a torn end, and a
 * rewrite deletes the file. Done twice it ships nothing the second time. Where nobody has followed the server from here,
 * nothing is shipped.
 *
 * @throws ARCHIVE_FOLLOWED where a living agent does it itself; errors of the store; those of `followAof`
 */
export async function shipTail(
  context: InstanceContext,
  io: StepIO,
  options: Partial<FollowOptions> = {},
): Promise<ShippedTail> {
  const follower = new Follower(context, io, { ...followDefaults, ...options }, true);
  try {
    const place = await follower.locate();
    if (!place) return { shippedBytes: 0 };
    const lock = await lockFollowing(place, context.home);
    try {
      await follower.run();
      const { shippedBytes, unshippedBytes, position } = follower.figures;
      return { shippedBytes, leftBytes: unshippedBytes, position };
    } finally {
      lock.release();
    }
  } finally {
    follower.close();
  }
}

/** So long a start waits for a store that does not take the tail. */
const patienceMs = 60_000;

/**
 * Before a server is started again by us: what it left on its disk goes into the archive. It holds no start up for ever: whole
 * commands stay in their file, and files that are replaced stay held.
 *
 * @returns undefined where the instance has no archive, or the tail could not be shipped now
 */
export async function shipTailBeforeStart(context: InstanceContext, io: StepIO): Promise<ShippedTail | undefined> {
  // What a replication stream has not brought is in no file that its archive knows.
  if (!context.policy.archive || context.policy.archive.from === 'replication') return undefined;
  const signal = AbortSignal.any([io.signal, AbortSignal.timeout(patienceMs)]);
  try {
    const follower = followerOf(context.policy.instance);
    if (!follower) return await shipTail(context, { ...io, signal });
    // The agent follows the file of a server that is down, too.
    const before = follower.figures.shippedBytes;
    while (!follower.idle) await sleep(50, undefined, { signal });
    const { shippedBytes, unshippedBytes, position } = follower.figures;
    return { shippedBytes: shippedBytes - before, leftBytes: unshippedBytes, position };
  } catch (error) {
    io.signal.throwIfAborted();
    const why = error instanceof RewindError ? error.message : String(error);
    io.onProgress({ phase: 'archive', note: `the tail of the append-only file is not in the archive yet: ${why}` });
    return undefined;
  }
}
