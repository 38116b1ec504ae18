import type { Redis } from 'ioredis';
import { RewindError } from '../errors/rewind-error.ts';
import type { RedisTarget } from '../redis/connection.ts';
import { type AclRule, parseAclLine } from './acl-rule.ts';
import { bytesOfAcl, textOfAcl } from './acl-text.ts';
import { refusalOf } from './refusal.ts';

/** The users as they are now. @throws FENCE_NOT_POSSIBLE, FENCE_NOT_IN_FORCE for a line that nobody can read */
export async function readUsers(redis: Redis, target: RedisTarget): Promise<AclRule[]> {
  const lines = (await redis.callBuffer('ACL', 'LIST').catch((error) => {
    throw refusalOf(target, 'acl|list', error);
  })) as Buffer[];
  return lines.map((line) => parseAclLine(textOfAcl(line)) ?? fail());
}

/** A user and what follows `ACL SETUSER <name>`. */
export interface UserChange {
  readonly name: string;
  readonly rules: readonly string[];
}

/**
 * Changes users, each as a whole or not at all; with `atOnce` in one transaction, so that no moment lies between the
 * first and the last of them.
 */
export async function setUsers(
  redis: Redis,
  target: RedisTarget,
  changes: readonly UserChange[],
  options: { atOnce?: boolean } = {},
): Promise<void> {
  if (changes.length === 0) return;
  const chain = options.atOnce ? redis.multi() : redis.pipeline();
  for (const { name, rules } of changes) chain.call('ACL', 'SETUSER', ...[name, ...rules].map(bytesOfAcl));
  const replies = await chain.exec().catch((error) => {
    throw refusalOf(target, 'acl|setuser', error);
  });
  for (const [error] of replies ?? []) if (error) throw refusalOf(target, 'acl|setuser', error);
}

function fail(): never {
  throw new RewindError('FENCE_NOT_IN_FORCE', 'The server lists a user in a form that is not known here.');
}
