import type { Redis } from 'ioredis';
import { bytesOfAcl } from './acl-text.ts';
import { type AclCommand, changesData } from './command-table.ts';

const REFUSED = /has no permissions to run the /;

/**
 * Asks the server itself, for each user and each command that changes data, whether it would run it. A selector that
 * may run a command makes the answer speak of keys instead of the command, so one answer speaks for root and selectors.
 *
 * @see https://redis.io/docs/latest/commands/acl-dryrun/ (since 7.0)
 * @returns users that may still write; undefined where the server cannot be asked
 */
export async function writersByDryRun(
  redis: Redis,
  users: readonly string[],
  commands: readonly AclCommand[],
): Promise<string[] | undefined> {
  const calls = commands.filter(changesData).map(callOf);
  const writers: string[] = [];
  for (const user of users) {
    const chain = redis.pipeline();
    for (const call of calls) chain.call('ACL', 'DRYRUN', bytesOfAcl(user), ...call);
    const replies = (await chain.exec()) ?? [];
    if (replies.some(([error]) => /unknown (sub)?command/i.test(error?.message ?? ''))) return undefined;
    // Not found: a user that is gone by now, or a command that was renamed; what rules say of it holds for its new name.
    const refused = replies.every(([error, reply]) =>
      error ? /not found/i.test(error.message) : REFUSED.test(String(reply)),
    );
    if (!refused) writers.push(user);
  }
  return writers;
}

/** With as many arguments as it takes, for otherwise the answer speaks of them. */
function callOf({ name, arity }: AclCommand): string[] {
  const words = name.split('|');
  return [...words, ...Array<string>(Math.max(0, Math.abs(arity) - words.length)).fill('1')];
}
