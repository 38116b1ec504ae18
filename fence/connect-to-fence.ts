import type { Redis } from 'ioredis';
import type { RedisTarget } from '../redis/connection.ts';
import type { Repository } from '../repository/repository.ts';
import { assertNotEnding } from './bring-into-force.ts';
import type { OpenFence } from './fence-record.ts';
import { connectAsOwn, forgetSecret, type OwnUser } from './own-user.ts';

/**
 * A connection as the own user of a fence that stands. The undoing ends all such connections once it has begun, and no
 * new one passes here, so nothing is fenced behind its back.
 *
 * @throws FENCE_ENDED
 */
export async function connectToFence(
  login: Redis,
  target: RedisTarget,
  order: OwnUser & { readonly repository: Repository },
  fence: OpenFence,
): Promise<Redis> {
  await assertNotEnding(order, fence);
  const redis = await connectAsOwn(login, target, order).catch(async (error: unknown) => {
    // Its login was taken away here, too, in this very moment: then that is what happened.
    await assertNotEnding(order, fence);
    throw error;
  });
  try {
    await assertNotEnding(order, fence);
    return redis;
  } catch (error) {
    // The undoing may have removed the own user just before it was made again here.
    await redis.call('ACL', 'DELUSER', fence.record.ownUser).catch(() => undefined);
    await forgetSecret(order);
    redis.disconnect();
    throw error;
  }
}
