import { type CommandRight, wantedCommands } from './command-rights.ts';
import type { Finding } from './finding.ts';
import type { Observed } from './observed.ts';
import { redisCli } from './redis-cli.ts';
import { shellWord } from './shell-word.ts';

/** What the user that redis-rewind logs in as may not run, exactly. */
export function rightsFindings(rights: readonly CommandRight[], observed: Observed): Finding[] {
  const { policy, url, user } = observed;
  const rulesOf = (state: CommandRight['state'], needed: boolean) =>
    rights.filter((right) => right.state === state && right.needed === needed).map(({ rule }) => rule);
  const findings: Finding[] = [];

  const denied = rulesOf('denied', true);
  if (denied.length > 0) {
    findings.push({
      code: 'RIGHTS_MISSING',
      severity: 'error',
      consequence: `The user ${user} may not run ${listed(denied)}: no backup can be taken. ${KEPT}`,
      fix: aclFix(observed, denied),
    });
  }
  const described = rulesOf('denied', false);
  if (described.length > 0) {
    findings.push({
      code: 'RIGHTS_MISSING_FOR_DESCRIPTION',
      severity: 'warning',
      consequence: `The user ${user} may not run ${listed(described)}: ${withoutThem(described)} ${KEPT}`,
      fix: aclFix(observed, described),
    });
  }
  const disabled = rights.filter(({ state }) => state === 'disabled');
  if (disabled.length > 0) {
    const needed = disabled.some((right) => right.needed);
    findings.push({
      code: 'COMMANDS_DISABLED',
      severity: needed ? 'error' : 'warning',
      consequence: `This server does not know ${listed(disabled.map(({ rule }) => rule))} (rename-command, or a provider took them away): ${needed ? 'no backup can be taken in this way.' : withoutThem(disabled.map(({ rule }) => rule))}`,
      fix: `redis.conf: take out the rename-command lines of ${listed(disabled.map(({ rule }) => rule))}, then restart Redis`,
    });
  }
  const unknown = rights.filter(({ state }) => state === 'unknown').map(({ rule }) => rule);
  if (unknown.length > 0) {
    const [first = ''] = unknown;
    const call = wantedCommands(policy).find(({ rule }) => rule === first)?.call ?? [];
    findings.push({
      code: 'RIGHTS_UNKNOWN',
      severity: 'info',
      consequence: `Whether the user ${user} may run ${listed(unknown)} can only be seen by running it, or by an administrator.`,
      fix: `${redisCli(url)} ACL DRYRUN ${shellWord(user)} ${call.map(shellWord).join(' ')}`,
    });
  }
  return findings;
}

/** Otherwise the next restart takes the rights away again. */
const KEPT = 'What is mended is kept by ACL SAVE, or by CONFIG REWRITE where there is no aclfile.';

/** The line that gives `user` what is missing and takes nothing from it. */
export function aclFix({ url, user }: Pick<Observed, 'url' | 'user'>, rules: readonly string[]): string {
  return `${redisCli(url)} ACL SETUSER ${shellWord(user)} ${rules.map((rule) => shellWord(`+${rule}`)).join(' ')}`;
}

function withoutThem(rules: readonly string[]): string {
  const lost = [
    rules.includes('acl|list') ? 'the users' : undefined,
    rules.includes('module|list') ? 'the modules' : undefined,
    rules.includes('function|list') ? 'the names of function libraries' : undefined,
    rules.includes('config|get') ? 'the settings' : undefined,
  ].filter((each) => each !== undefined);
  const rewrite = rules.includes('bgrewriteaof') ? ' The append-only file is not rewritten after a save.' : '';
  return lost.length > 0
    ? `server.json lacks ${listed(lost)}, and a server restored without them is not the same server.${rewrite}`
    : rewrite.trim();
}

function listed(names: readonly string[]): string {
  return names.length < 2 ? (names[0] ?? '') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
