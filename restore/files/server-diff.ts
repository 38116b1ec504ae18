import type { ServerDescription } from '../../redis/server-description.ts';

/** What a server has now, as ACL LIST and CONFIG GET answer it; absent where it does not run or may not be asked. */
export interface PresentServer {
  readonly acl?: readonly string[];
  readonly configuration?: Readonly<Record<string, string>>;
}

export interface ServerDiff {
  /** By user: `absent` on the server, `extra` there, `different`. */
  readonly users: readonly {
    readonly name: string;
    readonly is: 'absent' | 'extra' | 'different';
    readonly lines: readonly string[];
  }[];
  readonly settings: readonly { readonly name: string; readonly now?: string; readonly proposed: string }[];
  /** For people, in the form of a diff: `-` is there now, `+` is proposed. No password hash stands in it. */
  readonly text: string;
}

/** Compares what a backup's server was with what a server is. Pure; nothing of it is applied by anybody. */
export function diffServer(
  wanted: Pick<ServerDescription, 'acl' | 'configuration'>,
  present: PresentServer,
): ServerDiff {
  const users = wanted.acl ? diffUsers(wanted.acl, present.acl ?? []) : [];
  const settings = Object.entries(wanted.configuration)
    .filter(([name, value]) => present.configuration?.[name] !== value)
    .map(([name, proposed]) => {
      const now = present.configuration?.[name];
      return { name, ...(now === undefined ? {} : { now }), proposed };
    });
  const lines = [
    ...users.flatMap((user) => user.lines),
    ...settings.flatMap(({ name, now, proposed }) => [
      ...(now === undefined ? [] : [`- ${name} ${shown(now)}`]),
      `+ ${name} ${shown(proposed)}`,
    ]),
  ];
  return { users, settings, text: lines.join('\n') };
}

function diffUsers(wanted: readonly string[], present: readonly string[]): ServerDiff['users'] {
  const [there, here] = [byName(wanted), byName(present)];
  const users: { name: string; is: 'absent' | 'extra' | 'different'; lines: string[] }[] = [];
  for (const [name, line] of there) {
    const now = here.get(name);
    if (now === undefined) users.push({ name, is: 'absent', lines: [`+ ${masked(line)}`] });
    else if (sameRules(now, line)) {
      if (!sameHashes(now, line)) {
        users.push({
          name,
          is: 'different',
          lines: [`- user ${name}: other passwords`, `+ user ${name}: those of the backup`],
        });
      }
    } else users.push({ name, is: 'different', lines: [`- ${masked(now)}`, `+ ${masked(line)}`] });
  }
  for (const [name, line] of here) {
    if (!there.has(name)) users.push({ name, is: 'extra', lines: [`- ${masked(line)}`] });
  }
  return users;
}

const byName = (lines: readonly string[]): Map<string, string> =>
  new Map(lines.map((line) => [line.split(' ')[1] ?? '', line]));

/** Whoever has a hash can try passwords against it. */
const masked = (line: string): string => line.replace(/([#!])[0-9a-fA-F]{64}\b/g, '$1…');
const sameRules = (a: string, b: string): boolean => masked(a) === masked(b);
const hashesOf = (line: string): string => (line.match(/#[0-9a-fA-F]{64}\b/g) ?? []).sort().join();
const sameHashes = (a: string, b: string): boolean => hashesOf(a) === hashesOf(b);
const shown = (value: string): string => (value === '' ? '""' : value.replace(/[\r\n]+/g, ' '));
