import { RewindError } from '../errors/rewind-error.ts';
import { type AclRule, commandTokens, otherTokens, parseAclLine } from './acl-rule.ts';
import type { AclCommand } from './command-table.ts';
import type { OpenFence } from './fence-record.ts';
import { canWrite, writeRights } from './write-rights.ts';

/**
 * What each user may be given back. A user that came during the fence, or came back with a restart, has the rule that
 * it came with; one that was given rights while it was fenced keeps the one from before, unless it had none to write.
 */
export function rulesToGiveBack(fence: OpenFence, commands: readonly AclCommand[]): Map<string, AclRule> {
  const rules = new Map<string, AclRule>();
  for (const { name, rule } of fence.record.users) rules.set(name, parsed(name, rule));
  for (const { name, rule, why } of fence.added) {
    const before = rules.get(name);
    if (why === 'changed' && before && canWrite(writeRights(before, commands))) continue;
    rules.set(name, parsed(name, rule));
  }
  for (const [name, rule] of rules) if (!canWrite(writeRights(rule, commands))) rules.delete(name);
  return rules;
}

/**
 * A user as it is now, with the commands that it may be given back. A fence takes commands only; so a password that was
 * changed, or a user that was switched off while it was fenced, is left as it is. Where nobody changed anything this is
 * the rule from before, token by token.
 */
export function withCommandsOf(now: AclRule, before: AclRule): AclRule {
  const left = [...before.selectors];
  const selectors = now.selectors.map((selector) => {
    const at = left.findIndex((each) => sameTokens(otherTokens(each), otherTokens(selector)));
    return at < 0 ? selector : (left.splice(at, 1)[0] as readonly string[]);
  });
  return { name: now.name, tokens: [...otherTokens(now.tokens), ...commandTokens(before.tokens)], selectors };
}

const sameTokens = (one: readonly string[], other: readonly string[]): boolean => one.join(' ') === other.join(' ');

function parsed(name: string, line: string): AclRule {
  const rule = parseAclLine(line);
  if (rule?.name === name) return rule;
  throw new RewindError(
    'FENCE_RECORD_INVALID',
    'A fence cannot be read: the rule of a user is none, or of another one.',
  );
}
