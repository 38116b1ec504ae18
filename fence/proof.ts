import type { Redis } from 'ioredis';
import { type AclRule, commandTokens } from './acl-rule.ts';
import { bytesOfAcl } from './acl-text.ts';
import { type AclCommand, changesData } from './command-table.ts';

const REFUSED = /has no permissions to run the /;

/** Of a user whose commands are those of another, so many are asked after, spread over all of them. */
const SAMPLE = 8;

/**
 * Asks the server itself whether it would run what changes data: every such command for one user of each set of rules,
 * a sample for the others of the same rules. A selector that may run a command makes the answer speak of keys instead
 * of the command, so one answer speaks for root and selectors.
 *
 * @see https://redis.io/docs/latest/commands/acl-dryrun/ (since 7.0)
 * @returns users that may still write; undefined where the server cannot be asked
 */
export async function writersByDryRun(
  redis: Redis,
  users: readonly AclRule[],
  commands: readonly AclCommand[],
): Promise<string[] | undefined> {
  const all = commands.filter(changesData).map(callOf);
  const sample = all.filter((_, at) => at % Math.ceil(all.length / SAMPLE) === 0);
  const kinds = new Set<string>();
  const writers: string[] = [];
  for (const user of users) {
    const kind = [user.tokens, ...user.selectors].map((tokens) => commandTokens(tokens).join(' ')).join('\n');
    const chain = redis.pipeline();
    for (const call of kinds.has(kind) ? sample : all) chain.call('ACL', 'DRYRUN', bytesOfAcl(user.name), ...call);
    kinds.add(kind);
    const replies = (await chain.exec()) ?? [];
    if (replies.some(([error]) => /unknown (sub)?command/i.test(error?.message ?? ''))) return undefined;
    // Not found: a user that is gone by now, or a command that was renamed; what rules say of it holds for its new name.
    const refused = replies.every(([error, reply]) =>
      error ? /not found/i.test(error.message) : REFUSED.test(String(reply)),
    );
    if (!refused) writers.push(user.name);
  }
  return writers;
}

/** With as many arguments as it takes, for otherwise the answer speaks of them. */
function callOf({ name, arity }: AclCommand): string[] {
  const words = name.split('|');
  return [...words, ...Array<string>(Math.max(0, Math.abs(arity) - words.length)).fill('1')];
}
