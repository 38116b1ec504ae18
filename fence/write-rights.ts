import { type AclRule, selectorText } from './acl-rule.ts';
import { type AclCommand, changesData } from './command-table.ts';

/**
 * The commands that rules leave to their user, read as Redis reads them: in order, the later ones win. A right to a
 * command with one first argument only (`+select|0`) counts as the command.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
 */
export function mayRun(tokens: readonly string[], commands: readonly AclCommand[]): AclCommand[] {
  const allowed = new Set<AclCommand>();
  for (const token of tokens) {
    const [sign, rule] = [token[0], token.slice(1).toLowerCase()];
    if (sign !== '+' && sign !== '-') continue;
    for (const command of commands) {
      if (!concerns(rule, command, sign === '+')) continue;
      if (sign === '+') allowed.add(command);
      else allowed.delete(command);
    }
  }
  return [...allowed];
}

function concerns(rule: string, { name, categories }: AclCommand, granted: boolean): boolean {
  if (rule.startsWith('@')) return rule === '@all' || categories.includes(rule);
  const [command] = rule.split('|');
  return rule === name || command === name.split('|')[0] ? matches(rule, name, granted) : false;
}

/** `+config` is every subcommand; of a command without, `+set|x` gives a part of it and `-set|x` takes not all of it. */
function matches(rule: string, name: string, granted: boolean): boolean {
  if (rule === name || !rule.includes('|')) return true;
  return granted && !name.includes('|');
}

/** Whether these rules, of a root or of one selector, leave a command that changes data. */
export function mayWrite(tokens: readonly string[], commands: readonly AclCommand[]): boolean {
  return mayRun(tokens, commands).some(changesData);
}

/** The rights that a fence takes from a user. */
export interface WriteRights {
  readonly root: boolean;
  /** How many of its selectors may write. */
  readonly selectors: number;
}

export function writeRights(rule: AclRule, commands: readonly AclCommand[]): WriteRights {
  return {
    root: mayWrite(rule.tokens, commands),
    selectors: rule.selectors.filter((selector) => mayWrite(selector, commands)).length,
  };
}

export const canWrite = ({ root, selectors }: WriteRights): boolean => root || selectors > 0;

/**
 * What follows `ACL SETUSER <name>` to take from a user all that changes data. Rules of the root do not touch selectors,
 * so these are said anew, all in the same call: Redis puts it in force as a whole.
 */
export function fencingRules(rule: AclRule, commands: readonly AclCommand[]): string[] {
  const selectors = rule.selectors.map((selector) => selectorText([...selector, ...taken(selector, commands)]));
  const changed = rule.selectors.some((selector) => mayWrite(selector, commands));
  return [...taken(rule.tokens, commands), ...(changed ? ['clearselectors', ...selectors] : [])];
}

function taken(tokens: readonly string[], commands: readonly AclCommand[]): string[] {
  const writing = mayRun(tokens, commands).filter(changesData);
  const others = writing.filter(({ categories }) => !categories.includes('@write')).map(({ name }) => `-${name}`);
  return writing.length === 0 ? [] : ['-@write', ...others];
}
