import type { Redis } from 'ioredis';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import { readInfo, serverVersion } from '../redis/info.ts';

/** Whether the user that redis-rewind logs in as may run a command. */
export interface CommandRight {
  /** As ACL SETUSER takes it after a `+`: `bgsave`, `config|get`. */
  readonly rule: string;
  /** `disabled`: renamed away or taken out by a provider. `unknown`: it cannot be asked without running it. */
  readonly state: 'allowed' | 'denied' | 'disabled' | 'unknown';
  /** What cannot be done without it; the backup itself where `needed`. */
  readonly needed: boolean;
}

interface Wanted {
  readonly rule: string;
  readonly needed: boolean;
  /** A call that has the right number of arguments, for ACL DRYRUN. */
  readonly call: readonly string[];
  /** A call that changes nothing, also where it is allowed; absent where there is none. */
  readonly trial?: readonly string[];
}

/** Every command that a backup of this instance runs, and its archive. */
export function wantedCommands(policy: Pick<InstancePolicy, 'source' | 'backup' | 'archive'>): readonly Wanted[] {
  const asked = (rule: string, needed: boolean, ...call: string[]): Wanted => ({ rule, needed, call, trial: call });
  const { rewriteAof, includeAcl } = policy.backup;
  const byLink: Wanted[] = [
    { rule: 'psync', needed: true, call: ['PSYNC', '?', '-1'] },
    { rule: 'replconf', needed: true, call: ['REPLCONF', 'capa', 'eof'], trial: ['REPLCONF', 'capa'] },
  ];
  return [
    asked('ping', true, 'PING'),
    asked('info', true, 'INFO', 'server'),
    asked('time', true, 'TIME'),
    ...(policy.source === 'agent'
      ? [
          asked('config|get', true, 'CONFIG', 'GET', 'dir'),
          // Refused as a wrong argument after the rights were looked at.
          { rule: 'bgsave', needed: true, call: ['BGSAVE'], trial: ['BGSAVE', 'no-such-option'] },
          ...(policy.archive?.from === 'replication' ? byLink : []),
        ]
      : [asked('config|get', false, 'CONFIG', 'GET', 'dir'), ...byLink]),
    ...(rewriteAof ? [{ rule: 'bgrewriteaof', needed: false, call: ['BGREWRITEAOF'] }] : []),
    ...(includeAcl ? [asked('acl|list', false, 'ACL', 'LIST')] : []),
    asked('module|list', false, 'MODULE', 'LIST'),
    asked('function|list', false, 'FUNCTION', 'LIST'),
  ];
}

/** Asks for each command whether `user` may run it, and runs none that does anything. */
export async function readRights(
  redis: Redis,
  policy: Pick<InstancePolicy, 'source' | 'backup' | 'archive'>,
  user: string,
): Promise<CommandRight[]> {
  const { version } = serverVersion(await readInfo(redis, 'server').catch(() => ({})));
  const major = Number.parseInt(version, 10);
  const everything = major < 6 || (await mayAll(redis, user));
  const rights: CommandRight[] = [];
  for (const { rule, needed, call, trial } of wantedCommands(policy)) {
    if (rule.startsWith('function|') && major < 7) continue;
    if (rule.startsWith('acl|') && major < 6) continue;
    const untried = everything ? 'allowed' : 'unknown';
    const state = (await dryRun(redis, user, call)) ?? (trial ? await tryOut(redis, trial) : untried);
    rights.push({ rule, needed, state });
  }
  return rights;
}

/**
 * @see https://redis.io/docs/latest/commands/acl-dryrun/ (since 7.0)
 * @returns undefined where the server does not have it or this user may not ask
 */
async function dryRun(redis: Redis, user: string, call: readonly string[]): Promise<CommandRight['state'] | undefined> {
  try {
    const reply = await redis.call('ACL', 'DRYRUN', user, ...call);
    return reply === 'OK' ? 'allowed' : 'denied';
  } catch (error) {
    return /Command '.*' not found/i.test(String(error)) ? 'disabled' : undefined;
  }
}

/** Redis 6 has no ACL DRYRUN, but tells a user without limits. */
async function mayAll(redis: Redis, user: string): Promise<boolean> {
  const reply = (await redis.call('ACL', 'GETUSER', user).catch(() => undefined)) as unknown[] | undefined;
  const flags = reply?.[reply.indexOf('flags') + 1];
  return Array.isArray(flags) && flags.includes('allcommands');
}

/** A refusal for any other reason comes after the rights were looked at. */
async function tryOut(redis: Redis, [command = '', ...args]: readonly string[]): Promise<CommandRight['state']> {
  try {
    await redis.call(command, ...args);
    return 'allowed';
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    if (/^NOPERM/.test(said)) return 'denied';
    if (/unknown (sub)?command/i.test(said)) return 'disabled';
    return /^(ERR|MISCONF|BUSY)/.test(said) ? 'allowed' : 'unknown';
  }
}
