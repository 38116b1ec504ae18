import type { Redis } from 'ioredis';

/** A command that the rights of a user are about; one with subcommands is there once for each of them. */
export interface AclCommand {
  /** As ACL rules name it, in lower case: `set`, `config|set`. */
  readonly name: string;
  readonly flags: readonly string[];
  /** With their `@`. */
  readonly categories: readonly string[];
  /** Arguments, names of command and subcommand included; negative: at least so many. */
  readonly arity: number;
}

/**
 * What this server can be asked to do, modules included.
 *
 * @see https://redis.io/docs/latest/commands/command/ (subcommands are in the reply since 7.0)
 */
export async function readCommands(redis: Redis): Promise<AclCommand[]> {
  return ((await redis.call('COMMAND')) as unknown[][]).flatMap(leaves);
}

function leaves(reply: readonly unknown[]): AclCommand[] {
  const subcommands = (reply[9] as unknown[][] | undefined) ?? [];
  if (subcommands.length > 0) return subcommands.flatMap(leaves);
  return [
    {
      name: String(reply[0]).toLowerCase(),
      arity: Number(reply[1]),
      flags: (reply[2] as unknown[]).map(String),
      categories: ((reply[6] as unknown[] | undefined) ?? []).map(String),
    },
  ];
}

/**
 * Whether a fenced user must not run it. `-@write` is not enough: no version counts a module's commands to it (the
 * vector sets of Redis 8 are such a module), and DEBUG can flush, reload and fill a server without being in it.
 *
 * Left to whoever has them, because Sentinel, service managers and administrators need them in an incident, and because
 * no application runs them: REPLICAOF, FAILOVER, SHUTDOWN, CONFIG, MODULE, ACL. PFCOUNT stays a read: it may store the
 * count that it computed in the key, but never changes what the key says.
 */
export function changesData(command: AclCommand): boolean {
  const { flags, categories, name } = command;
  if (flags.includes('write') || categories.includes('@write') || name.split('|')[0] === 'debug') return true;
  // A module's command that does not say it only reads may write, and what it calls is not held against the user.
  return flags.includes('module') && !flags.includes('readonly');
}
