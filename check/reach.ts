import { wantedCommands } from './command-rights.ts';
import { type Finding, failureFinding } from './finding.ts';
import { isFailure, type Observed } from './observed.ts';
import { redisCli } from './redis-cli.ts';
import { aclFix } from './rights.ts';
import { sentence } from './words.ts';

/** Redis cannot be asked: nothing else can be said of it. */
export function reachFindings(observed: Observed): Finding[] {
  const { instance, seenBy } = observed;
  const where = seenBy === 'here' ? 'Seen from here' : `Seen from the ${seenBy}`;
  if (isFailure(instance)) return [failureFinding(where, instance.failure)];
  if (!isFailure(instance.redis)) return [];
  const { code, message, next } = instance.redis.failure;
  return [
    {
      code,
      severity: 'error',
      consequence: `${where}: ${sentence(message)} No backup can be taken.`,
      fix: fixFor(code, message, observed) ?? next,
    },
  ];
}

function fixFor(code: string, message: string, observed: Observed): string | undefined {
  const { policy, url, user } = observed;
  if (code === 'REDIS_UNREACHABLE') return `${redisCli(url)} PING`;
  if (code === 'REDIS_LOADING') return `${redisCli(url)} INFO persistence`;
  if (code !== 'REDIS_REFUSED_LOGIN') return undefined;
  if (!message.includes('NOPERM')) {
    return `rewind.yaml: let instances.${policy.instance}.password name the password of the user ${user}`;
  }
  const needed = wantedCommands(policy).filter((command) => command.needed);
  return aclFix(
    observed,
    needed.map(({ rule }) => rule),
  );
}
