import type { Client } from '@temporalio/client';
import { bytesInWords, durationInWords } from '../check/words.ts';
import { instancesInForce, policyOf } from '../policy/instance-policy.ts';
import { listBackups } from '../repository/catalogue.ts';
import { openRepository } from '../repository/open.ts';
import { connectClient, temporalAddress } from '../workers/temporal-connection.ts';
import { type EffectiveConfig, effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { archiveFacts } from './status/archive-facts.ts';
import {
  type ArchiveStatus,
  type InstanceStatus,
  type Measured,
  statusOf,
  wantsAttention,
} from './status/instance-status.ts';
import { lossesOf } from './status/noticed-losses.ts';
import { type OpenFenceStatus, openFences } from './status/open-fences.ts';
import { type RunningWorkflow, runningWorkflows } from './status/running-workflows.ts';
import { type WaitingWorkflow, waitingWorkflows } from './status/waiting-workflows.ts';
import { wrap } from './wrap.ts';

interface Runs {
  readonly client: Client;
  readonly running: ReadonlyMap<string, readonly RunningWorkflow[]>;
  readonly waiting: ReadonlyMap<string, readonly WaitingWorkflow[]>;
}

/** What a crash now would lose and a restore would take. The repository alone answers that; Temporal tells what runs. */
export async function status(context: CliContext, _options: object, name?: string): Promise<ExitCode> {
  const effective = await effectiveConfig(context);
  const { config } = effective;
  const names = name === undefined ? instancesInForce(config) : [name];
  const policies = names.map((instance) => policyOf(config, instance));
  const runs = await whatRuns(effective, context);
  const repository = await openRepository(config.repository);
  const instances: Record<string, InstanceStatus> = {};
  try {
    for (const policy of policies) {
      const backups = await listBackups(repository, policy.instance, { all: true });
      const running = runs?.running.get(policy.instance) ?? [];
      const waiting = runs?.waiting.get(policy.instance) ?? [];
      const fences = await openFences(repository, policy.instance, runs?.client);
      const archive = policy.archive && runs && (await archiveFacts(runs.client, policy.instance));
      const losses = policy.archive ? await lossesOf(repository, policy.instance) : [];
      instances[policy.instance] = statusOf(policy, backups, running, new Date(), waiting, fences, archive, losses);
    }
  } finally {
    repository.close();
    await runs?.client.connection.close();
  }
  const ui = effective.embedded.temporal?.ui;
  const temporal = { ...temporalAddress(effective.temporal), ...(ui ? { ui } : {}), reachable: runs !== undefined };
  // One of our own that does not answer has no page either.
  context.output.answer(asText(instances, runs && ui), { temporal, instances });
  return Object.values(instances).some(wantsAttention) ? 3 : 0;
}

/** Undefined where Temporal cannot be asked: then nothing of what runs is known, and that is said. */
async function whatRuns({ temporal }: EffectiveConfig, { output }: CliContext): Promise<Runs | undefined> {
  let client: Client | undefined;
  try {
    client = await connectClient(temporal);
    const running = await runningWorkflows(client);
    return { client, running, waiting: await waitingWorkflows(client, running) };
  } catch (error) {
    await client?.connection.close();
    output.log(
      wrap(`${(error as Error).message.replace(/\.?$/, '.')} What runs is not known; the rest is from the repository.`),
    );
    return undefined;
  }
}

function asText(instances: Readonly<Record<string, InstanceStatus>>, ui: string | undefined): string {
  const parts = Object.entries(instances).map(([name, instance]) => instanceText(name, instance));
  if (parts.length === 0) parts.push('no instance is configured; next: npm start, or name one in rewind.yaml');
  return [...parts, ...(ui ? [`Temporal UI: ${ui}`] : [])].join('\n\n');
}

function instanceText(name: string, status: InstanceStatus): string {
  const { rpo, rto, lastBackup, lastVerified, running, waiting, fences } = status;
  const lines = [
    name,
    `  RPO now       ${againstObjective(rpo, 'nothing is proven')}`,
    `  RTO measured  ${rto ? againstObjective(rto, '') : 'never'}`,
  ];
  if (status.archive) lines.push(`  archive       ${archiveText(name, status.archive)}`);
  if (!lastBackup) lines.push(`  last backup   none; next: rewind backup ${name}`);
  else {
    const { id, state, keys, sizeBytes, reason, flagged } = lastBackup;
    lines.push(`  last backup   ${id} ${state}, ${keys} keys, ${bytesInWords(sizeBytes)}`);
    if (reason) lines.push(wrap(reason, 16));
    if (flagged) lines.push(wrap(`FLAGGED: ${flagged}`, 16));
    if (lastVerified && state !== 'verified') lines.push(`  last verified ${lastVerified}`);
  }
  for (const { workflowId, phase, steps } of running) {
    lines.push(`  running       ${workflowId}`, wrap([phase, ...steps].filter(Boolean).join(', '), 16));
  }
  for (const { workflowId, gate, approvals, required, deadline, command } of waiting) {
    const until = deadline ? `, rejected at ${deadline}` : ', without end';
    lines.push(`  WAITS FOR YOU ${workflowId}`, wrap(`${gate}, ${approvals} of ${required} approvals${until}`, 16));
    lines.push(`                next: ${command}`);
  }
  lines.push(...fences.flatMap(fenceLines));
  for (const { time, what, lastGood, command } of status.losses ?? []) {
    lines.push(`  LOSS NOTICED  at ${time}`, wrap(what, 16));
    lines.push(`                last good moment: timeline ${lastGood.timeline}, position ${lastGood.offset}, pinned`);
    lines.push(`                next: ${command}`);
  }
  return lines.join('\n');
}

function fenceLines({ since, owner = 'nobody by name', ownerRuns, problem, command }: OpenFenceStatus): string[] {
  if (problem !== undefined) return ['  FENCED        perhaps', wrap(problem, 16), `                next: ${command}`];
  const lines = [`  FENCED        since ${since} by ${owner}`];
  // While its run is there, that run undoes it, and what it waits for stands above.
  if (ownerRuns === true) return lines;
  const held = ownerRuns === false ? '(fence without an owner)' : '(whether that runs is not known)';
  return [...lines, `                ${held}`, `                next: ${command}`];
}

function againstObjective({ seconds, objectiveSeconds, met }: Measured, none: string): string {
  const value = seconds === undefined ? none : durationInWords(seconds);
  if (objectiveSeconds === undefined) return `${value}, no objective`;
  return `${value}, objective ${durationInWords(objectiveSeconds)}: ${met ? 'met' : 'NOT MET'}`;
}

function archiveText(name: string, { state, lagSeconds, note }: ArchiveStatus): string {
  if (state === 'not-running') return 'on, and nothing follows it; next: rewind apply';
  if (state === 'stuck') return `stuck: nothing is archived; why: rewind check ${name}`;
  if (state === 'silent') return 'on, and its agent says nothing yet';
  const lag = lagSeconds === undefined ? '' : `, ${lagSeconds} s behind`;
  return `${state}${lag}${note === undefined ? '' : `: ${note}`}`;
}
