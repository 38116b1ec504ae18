import { join } from 'node:path';
import { asOwnChange } from '../archive/loss/own-change.ts';
import { signsOf } from '../backup/identity-check.ts';
import { policyOf } from '../policy/instance-policy.ts';
import { addressOf, withRedis } from '../redis/connection.ts';
import { readTopology } from '../redis/topology.ts';
import { adoptIdentity, readIdentity } from '../repository/identity.ts';
import { openInstance } from '../workers/instance-context.ts';
import { effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';

/** A person says that the server which answers now is the instance: its backups go on under the same identity. */
export async function adopt(context: CliContext, _options: object, instance: string): Promise<ExitCode> {
  const { config, home } = await effectiveConfig(context);
  policyOf(config, instance);
  const opened = await openInstance({ config, env: context.env, home: join(home, 'host') })({ instance });
  const { target, repository } = opened;
  try {
    if (!(await readIdentity(repository, instance))) {
      context.output.answer(
        `${instance} has no backup yet: the server that its first one is taken from is the instance`,
        {
          instance,
        },
      );
      return 0;
    }
    const { replication } = await withRedis(target, readTopology);
    const ids = [replication.id, replication.previousId].filter((id) => id !== undefined);
    const adopting = () => adoptIdentity(repository, instance, signsOf(opened, ids));
    const { id, recordedAt } = await asOwnChange(opened, 'adopted', adopting);
    const address = addressOf(target);
    context.output.answer(`${instance} is the server at ${address} from now on; next: rewind backup ${instance}`, {
      instance,
      identity: id,
      address,
      adoptedAt: recordedAt,
    });
    return 0;
  } finally {
    repository.close();
  }
}
