import { type Client, WorkflowNotFoundError } from '@temporalio/client';
import type { Config } from '../config/config.ts';
import { policyDigest } from '../policy/digest.ts';
import { instancesInForce, policyOf } from '../policy/instance-policy.ts';
import { searchAttributes } from '../workflows/search-attributes.ts';

/** An instance whose append-only file is to be followed. */
export interface WantedArchive {
  readonly instance: string;
  /** Of how it is followed. */
  readonly digest: string;
}

export interface ArchiveChange {
  readonly change: 'start' | 'update' | 'keep' | 'stop';
  readonly instance: string;
}

/** Whose it is: in its memo, as of a schedule. */
const OWNER = 'rewindDeployment';
/** As workflows/ship-aof.ts has it. */
const DIGEST = 'rewindArchive';

export const shipAofId = (instance: string): string => `ship-aof/${instance}`;

export function wantedArchives(config: Config): WantedArchive[] {
  return instancesInForce(config).flatMap((instance) => {
    const { archive, hostQueue } = policyOf(config, instance);
    return archive ? [{ instance, digest: policyDigest({ ...archive, hostQueue }) }] : [];
  });
}

/** What has to be done so that each of these is followed, and nothing else of this deployment. */
export async function planArchives(
  client: Client,
  deployment: string,
  wanted: readonly WantedArchive[],
): Promise<ArchiveChange[]> {
  const changes: ArchiveChange[] = [];
  for (const { instance, digest } of wanted) {
    const memo = await memoOfRunning(client, shipAofId(instance));
    changes.push({ instance, change: !memo ? 'start' : memo[DIGEST] === digest ? 'keep' : 'update' });
  }
  const running = client.workflow.list({ query: "WorkflowType = 'shipAof' AND ExecutionStatus = 'Running'" });
  for await (const { workflowId, memo } of running) {
    const instance = workflowId.replace(/^ship-aof\//, '');
    if (memo?.[OWNER] !== deployment || wanted.some((each) => each.instance === instance)) continue;
    if (await memoOfRunning(client, workflowId)) changes.push({ instance, change: 'stop' });
  }
  return changes;
}

/** Makes the plan so. Twice the same does nothing the second time. */
export async function applyArchives(
  client: Client,
  deployment: string,
  wanted: readonly WantedArchive[],
  changes: readonly ArchiveChange[],
): Promise<void> {
  for (const { instance, change } of changes) {
    const digest = wanted.find((each) => each.instance === instance)?.digest ?? '';
    const handle = client.workflow.getHandle(shipAofId(instance));
    if (change === 'start') await start(client, deployment, instance, digest);
    else if (change === 'update') await handle.signal('reconfigured', { digest });
    else if (change === 'stop') await handle.cancel();
  }
}

/** For a line of text: `archives: 1 started`; undefined where there is none and was none. */
export function archivesInWords(changes: readonly ArchiveChange[]): string | undefined {
  const words = { start: 'started', update: 'updated', stop: 'stopped', keep: 'as they were' } as const;
  const counted = (['start', 'update', 'stop', 'keep'] as const)
    .map((kind) => [changes.filter(({ change }) => change === kind).length, words[kind]] as const)
    .filter(([count]) => count > 0);
  if (counted.length === 0) return undefined;
  return `archives: ${counted.map(([count, word]) => `${count} ${word}`).join(', ')}`;
}

async function start(client: Client, deployment: string, instance: string, digest: string): Promise<void> {
  await client.workflow.start('shipAof', {
    taskQueue: 'rewind',
    workflowId: shipAofId(instance),
    workflowIdConflictPolicy: 'USE_EXISTING',
    args: [{ instance }],
    memo: { [OWNER]: deployment, [DIGEST]: digest },
    staticSummary: `Archive of ${instance}`,
    typedSearchAttributes: [{ key: searchAttributes.instance, value: instance }],
  });
}

async function memoOfRunning(client: Client, workflowId: string): Promise<Record<string, unknown> | undefined> {
  try {
    const { status, memo } = await client.workflow.getHandle(workflowId).describe();
    return status.name === 'RUNNING' ? (memo ?? {}) : undefined;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return undefined;
    throw error;
  }
}
