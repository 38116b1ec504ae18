import type { InstanceContext } from '../backup/instance-context.ts';
import { readAclList } from '../redis/acl-list.ts';
import { configurationOf } from '../redis/config-diff.ts';
import { withRedis } from '../redis/connection.ts';
import type { ServerDescription } from '../redis/server-description.ts';
import { readServerFile } from '../redis/server-file.ts';
import { ofTheMachine } from './files/proposals.ts';
import { diffServer, type PresentServer } from './files/server-diff.ts';
import type { RestorePoint } from './restore-point.ts';
import { type RestoreSubject, restoreDirectory } from './restore-subject.ts';

/** How users and settings of a server differ from those that the backup's server had. */
export interface OfferedServer {
  readonly users: number;
  readonly settings: number;
  /** Of the diff, in the repository. */
  readonly key: string;
}

/**
 * Holds a server against what stands beside the dump: without its users and settings a server is not restored. What differs
 * goes into the repository as a diff, for a person to take; nothing is applied, and no password hash stands in it.
 *
 * @returns undefined where nothing differs, or the backup has no description
 * @throws MANIFEST_INVALID where the description cannot be read; those of the repository and of `connectRedis`
 */
export async function offerServer(
  { repository, target }: Pick<InstanceContext, 'repository' | 'target'>,
  subject: RestoreSubject,
  { id, serverFileKey }: Pick<RestorePoint, 'id' | 'serverFileKey'>,
): Promise<OfferedServer | undefined> {
  if (serverFileKey === undefined) return undefined;
  const wanted = await readServerFile(repository, serverFileKey);
  const present = await withRedis(target, async (redis): Promise<PresentServer> => {
    const acl = await readAclList(redis).catch(() => undefined);
    const configuration = await redis
      .config('GET', '*')
      .then((answer) => configurationOf(answer as string[]))
      .catch(() => undefined);
    return { ...(acl ? { acl } : {}), ...(configuration ? { configuration } : {}) };
  });
  // What may not be read is not known to differ.
  const known = {
    acl: present.acl && wanted.acl,
    configuration: present.configuration ? withoutTheMachine(wanted.configuration) : {},
  };
  const { users, settings, text } = diffServer(known, present);
  if (users.length + settings.length === 0) return undefined;
  const key = `${restoreDirectory(subject)}server.diff`;
  const head = [
    `# Users and settings: - as ${subject.instance} has them, + as the server of ${id} had them.`,
    '# Nothing of this was applied. Take what is wanted by ACL SETUSER and CONFIG SET; passwords (#…) stand in server.json.',
  ];
  // Written once: a second attempt may find a server on which a person has begun to take it over.
  if (!(await repository.stat(key))) await repository.putSmall(key, Buffer.from(`${[...head, text].join('\n')}\n`));
  return { users: users.length, settings: settings.length, key };
}

function withoutTheMachine(configuration: ServerDescription['configuration']): ServerDescription['configuration'] {
  return Object.fromEntries(Object.entries(configuration).filter(([name]) => !ofTheMachine(name)));
}
