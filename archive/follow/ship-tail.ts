import type { InstanceContext } from '../../backup/instance-context.ts';
import type { StepIO } from '../../process/step-io.ts';
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
}
