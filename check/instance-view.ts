import { judgeServer } from '../backup/identity-check.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import { fenceState } from '../fence/fence-state.ts';
import { connectionError, withRedis } from '../redis/connection.ts';
import { type CommandRight, readRights } from './command-rights.ts';
import { orFailure } from './failure-of.ts';
import { readHostFacts } from './host-facts.ts';
import { type InstanceView, isFailure } from './observed.ts';
import { type RedisFacts, readRedisFacts } from './redis-facts.ts';
import { userOf } from './redis-user.ts';

/**
 * Looks at an instance and changes nothing. What cannot be seen is itself an observation.
 *
 * @param beside whether this process stands on Redis' machine, so that its files and memory are Redis' own
 */
export async function viewInstance(context: InstanceContext, beside: boolean): Promise<InstanceView> {
  let rights: CommandRight[] = [];
  const redis = await orFailure(() =>
    withRedis(context.target, async (connection): Promise<RedisFacts> => {
      rights = await readRights(connection, context.policy, userOf(context.target.url));
      return readRedisFacts(connection);
    }).catch((error) => {
      throw connectionError(context.target, error);
    }),
  );
  const facts = isFailure(redis) ? undefined : redis;
  const host = beside ? await readHostFacts(facts, context.repository.url) : undefined;
  return {
    url: withoutLogin(context.target.url),
    redis,
    rights,
    host,
    identity: facts && (await orFailure(() => judgement(context, facts))),
    fence: await orFailure(() => fenceState(context.target, context.repository, context.policy.instance)),
  };
}

function withoutLogin(url: string): string {
  const shown = new URL(url);
  shown.username = '';
  return shown.href;
}

async function judgement(context: InstanceContext, { topology }: RedisFacts) {
  const { id, previousId } = topology.replication;
  const ids = [id, previousId].filter((each) => each !== undefined);
  return { judgement: await judgeServer(context, ids) };
}
