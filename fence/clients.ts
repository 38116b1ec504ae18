import type { Redis } from 'ioredis';
import { textOfAcl } from './acl-text.ts';
import type { AclCommand } from './command-table.ts';

interface Client {
  readonly id: string;
  readonly user: string;
  /** `b` blocked, `x` within MULTI, `P` listening. */
  readonly flags: string;
  /** The last command, in lower case. */
  readonly command: string;
}

/**
 * Ends the connections that hold on to a write from before the fence: a consumer that waits in BLPOP would still pop
 * what is put back, on servers before Redis 7.2; a transaction that was begun is ended though every version looks at
 * the rights again at EXEC. All others, and who waits in XREAD or listens, stay: each command they send is judged anew.
 *
 * @returns how many
 */
export async function endHeldWrites(
  redis: Redis,
  fenced: ReadonlySet<string>,
  commands: readonly AclCommand[],
): Promise<number> {
  const reads = new Set(commands.filter((command) => !mayWait(command)).map(({ name }) => name));
  const clients = parseClients(textOfAcl((await redis.callBuffer('CLIENT', 'LIST')) as Buffer));
  const holding = clients.filter(
    ({ user, flags, command }) =>
      fenced.has(user) && (flags.includes('x') || (flags.includes('b') && !reads.has(command))),
  );
  const chain = redis.pipeline();
  for (const { id } of holding) chain.call('CLIENT', 'KILL', 'ID', id);
  const replies = (await chain.exec()) ?? [];
  return replies.filter(([, killed]) => killed === 1).length;
}

/** Whether a client that is blocked in it may write when it is woken. */
function mayWait({ flags, name }: AclCommand): boolean {
  return !(flags.includes('readonly') || ['wait', 'waitaof'].includes(name));
}

function parseClients(text: string): Client[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const fields = new Map(line.split(' ').map((field) => splitOnce(field, '=')));
      const [id = '', user = '', flags = '', command = ''] = ['id', 'user', 'flags', 'cmd'].map((key) =>
        fields.get(key),
      );
      return { id, user, flags, command: command.toLowerCase() };
    });
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return [text.slice(0, at), text.slice(at + 1)];
}
