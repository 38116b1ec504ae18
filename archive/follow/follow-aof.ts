import type { InstanceContext } from '../../backup/instance-context.ts';
import { lockFollowing } from './follow-lock.ts';
import { type FollowFigures, type FollowIO, type FollowOptions, followDefaults } from './follow-options.ts';
import { Follower } from './follower.ts';

/** Those that run in this process, by instance. */
const following = new Map<string, Follower>();

/** The follower of an instance in this process. */
export const followerOf = (instance: string): Follower | undefined => following.get(instance);

/**
 * Follows the append-only files of an instance into its archive until the signal; then it ships what it can and returns.
 *
 * @throws ARCHIVE_NOT_POSSIBLE, ARCHIVE_FILES_LEFT, ARCHIVE_FOLLOWED, ARCHIVE_TAKEN_OVER, ARCHIVE_FOREIGN, IDENTITY_REFUSED,
 *   REDIS_REFUSED_LOGIN, ARCHIVE_RECORD_INVALID, ARCHIVE_SEGMENT_DAMAGED; no error of a store ends it
 */
export async function followAof(
  context: InstanceContext,
  io: FollowIO,
  options: Partial<FollowOptions> = {},
): Promise<FollowFigures> {
  const follower = new Follower(context, io, { ...followDefaults, ...options });
  try {
    const place = await follower.locate();
    if (!place) return follower.figures;
    const lock = await lockFollowing(place, context.home);
    const { instance } = context.policy;
    following.set(instance, follower);
    try {
      await follower.run();
      return follower.figures;
    } finally {
      following.delete(instance);
      lock.release();
    }
  } finally {
    follower.close();
  }
}
