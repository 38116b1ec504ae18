import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { RewindError } from '../errors/rewind-error.ts';
import { addressOf } from '../redis/connection.ts';
import { createIdentity, extendIdentity, readIdentity, type ServerSigns } from '../repository/identity.ts';
import { type IdentityJudgement, judgeIdentity } from '../repository/judge-identity.ts';
import type { InstanceContext } from './instance-context.ts';

/** What an agent keeps of an instance between two runs; it outlives the agent's process, not its machine. */
interface HeldIdentity {
  readonly id: string;
  readonly address: string;
}

/**
 * Makes sure that the server which answers is the one whose backups are under this name. Replication ids alone do not
 * tell: they change at an ordinary restart.
 *
 * @returns the instance's identity, made at its first backup
 * @throws IDENTITY_REFUSED for another server, until a person adopts it
 */
export async function checkIdentity(context: InstanceContext, replicationIds: readonly string[]): Promise<string> {
  const { policy, repository } = context;
  const address = addressOf(context.target);
  const judgement = await judgeServer(context, replicationIds);
  if (judgement === 'refuse') {
    throw new RewindError(
      'IDENTITY_REFUSED',
      `The server at ${address} is not the ${policy.instance} whose backups are in ${repository.url}: neither this agent nor its replication history connects the two.`,
    );
  }
  const signs = signsOf(context, replicationIds);
  const identity =
    judgement === 'new'
      ? await createIdentity(repository, policy.instance, signs)
      : await extendIdentity(repository, policy.instance, signs);
  await holdIdentity(context, { id: identity.id, address });
  return identity.id;
}

/**
 * A person chose what this server starts on, from the copies of this instance: it is the instance, though neither its history
 * says so nor an agent that is new on its machine, the one before having been lost with the data.
 */
export async function holdPlaced(context: InstanceContext): Promise<void> {
  const recorded = await readIdentity(context.repository, context.policy.instance);
  if (recorded) await holdIdentity(context, { id: recorded.id, address: addressOf(context.target) });
}

/** The same question without an answer that is kept: for those who only look. */
export async function judgeServer(
  context: InstanceContext,
  replicationIds: readonly string[],
): Promise<IdentityJudgement> {
  return judgeIdentity({
    recorded: await readIdentity(context.repository, context.policy.instance),
    heldByAgent: await readHeld(context),
    replId: replicationIds[0] ?? '',
    replId2: replicationIds[1],
    address: addressOf(context.target),
  });
}

export function signsOf(context: InstanceContext, replicationIds: readonly string[]): ServerSigns {
  const replicas = context.policy.topology.replicas.map((url) => addressOf({ url }));
  return { replicationIds, addresses: [addressOf(context.target), ...replicas] };
}

const heldPath = ({ home, policy }: InstanceContext): string => join(home, 'identity', `${policy.instance}.json`);

async function readHeld(context: InstanceContext): Promise<HeldIdentity | undefined> {
  try {
    return JSON.parse(await readFile(heldPath(context), 'utf8')) as HeldIdentity;
  } catch {
    // Missing or torn: the replication history has to tell, or a person.
    return undefined;
  }
}

export async function holdIdentity(context: InstanceContext, held: HeldIdentity): Promise<void> {
  const path = heldPath(context);
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  await writeFile(`${path}.new`, `${JSON.stringify(held)}\n`);
  await rename(`${path}.new`, path);
}
