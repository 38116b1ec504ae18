import { RewindError } from '../../errors/rewind-error.ts';
import { wordsOf } from './ask-server.ts';
import type { ServerCopy } from './copies.ts';
import { type CopiesAsked, surveyCopies } from './survey-copies.ts';
import { type ActOptions, atServer } from './world.ts';

/** REPLICAOF NO ONE, and a look whether it is a primary afterwards. @throws CRASH_PROMOTION_REFUSED, REDIS_* */
export async function stopFollowing(asked: CopiesAsked, address: string, options: ActOptions): Promise<ServerCopy> {
  await atServer(asked, address, (redis) => redis.replicaof('NO', 'ONE').catch(refused(address)), options.limits);
  const after = await surveyCopies(
    { ...asked, sentinel: undefined },
    { signal: new AbortController().signal },
    options.limits,
  );
  const copy = after.servers.find((each) => each.address === address);
  if (copy?.role === 'primary') return copy;
  throw new RewindError('CRASH_PROMOTION_REFUSED', `${address} took REPLICAOF NO ONE and is no primary afterwards.`);
}

const refused = (address: string) => (error: Error) => {
  throw new RewindError('CRASH_PROMOTION_REFUSED', `${address} refused REPLICAOF: ${wordsOf(error)}`);
};
