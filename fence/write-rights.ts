import { type AclRule, commandTokens, selectorText } from './acl-rule.ts';
import { type AclCommand, changesData } from './command-table.ts';

/**
 * The commands that change data and that rules leave to their user, read as Redis reads them: in order, the later ones
 * win. A right to a command with one first argument only (`+select|0`) counts as the command.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/management/security/acl/
 */
export function writingCommands(tokens: readonly string[], commands: readonly AclCommand[]): AclCommand[] {
  const { writing, seen } = indexOf(commands);
  const rules = commandTokens(tokens);
  const key = rules.join(' ');
  const known = seen.get(key);
  if (known) return known;
  const allowed = new Set<AclCommand>();
  for (const token of rules) {
    const rule = token.slice(1).toLowerCase();
    for (const command of writing) {
      if (!concerns(rule, command)) continue;
      if (token.startsWith('+')) allowed.add(command);
      else allowed.delete(command);
    }
  }
  seen.set(key, [...allowed]);
  return [...allowed];
}

/** Applications have many users of few kinds, and a second has to do for all of them. */
interface Index {
  readonly writing: readonly AclCommand[];
  readonly seen: Map<string, AclCommand[]>;
}

const indexes = new WeakMap<readonly AclCommand[], Index>();

function indexOf(commands: readonly AclCommand[]): Index {
  let index = indexes.get(commands);
  if (!index) indexes.set(commands, (index = { writing: commands.filter(changesData), seen: new Map() }));
  return index;
}

/** `config` is every subcommand; `set|x` a part of a command that has none, which can be granted but not taken alone. */
function concerns(rule: string, { name, categories }: AclCommand): boolean {
  if (rule.startsWith('@')) return rule === '@all' || categories.includes(rule);
  if (rule === name) return true;
  const [command, sub] = rule.split('|');
  return sub === undefined ? name.startsWith(`${rule}|`) : command === name;
}

/** Whether these rules, of a root or of one selector, leave a command that changes data. */
export function mayWrite(tokens: readonly string[], commands: readonly AclCommand[]): boolean {
  return writingCommands(tokens, commands).length > 0;
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
  const writing = writingCommands(tokens, commands);
  const others = writing.filter(({ categories }) => !categories.includes('@write')).map(({ name }) => `-${name}`);
  return writing.length === 0 ? [] : ['-@write', ...others];
}
