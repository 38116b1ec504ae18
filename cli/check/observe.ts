import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { openLosses } from '../../archive/loss/loss-record.ts';
import { failureOf, orFailure } from '../../check/failure-of.ts';
import type { Failure } from '../../check/finding.ts';
import { viewInstance } from '../../check/instance-view.ts';
import type {
  InstanceView,
  Observed,
  OrFailure,
  ProbeReport,
  ScheduleFacts,
  TemporalFacts,
} from '../../check/observed.ts';
import { isFailure } from '../../check/observed.ts';
import { readProbe, removeProbe, writeProbe } from '../../check/probe.ts';
import { userOf } from '../../check/redis-user.ts';
import { readSandboxFacts, type SandboxFacts } from '../../check/sandbox-facts.ts';
import { type InstancePolicy, isOnThisMachine, policyOf } from '../../policy/instance-policy.ts';
import { openOnce, openRepository } from '../../repository/open.ts';
import type { Repository } from '../../repository/repository.ts';
import type { ScheduleChange } from '../../schedules/reconcile.ts';
import { openInstance } from '../../workers/instance-context.ts';
import { queueFacts, runBeingProven } from '../../workers/role-presence.ts';
import { sandboxSettings } from '../../workers/sandbox.ts';
import { temporalAddress } from '../../workers/temporal-connection.ts';
import type { CheckInstanceResult } from '../../workflows/check-instance.ts';
import type { EffectiveConfig } from '../effective-config.ts';
import type { CliContext } from '../main.ts';
import { archiveFacts } from '../status/archive-facts.ts';
import { ownerRuns } from '../status/fence-owner.ts';
import { askRoles } from './ask-roles.ts';

/** What Temporal is to a check: a client and what it holds of schedules, or why there is none. */
export type TemporalSeen = OrFailure<{ readonly client: Client; readonly schedules: readonly ScheduleChange[] }>;

/**
 * Gathers all that there is to know of one instance: from the roles where they can be asked, because only they stand
 * where a backup is made; from here where they cannot.
 */
export async function observe(
  context: CliContext,
  effective: EffectiveConfig,
  temporal: TemporalSeen,
  instance: string,
): Promise<Observed> {
  const policy = policyOf(effective.config, instance);
  const configured = effective.config.instances[instance]?.url ?? '';
  const asked = isFailure(temporal) ? { temporal } : await askTemporal(context, effective, temporal, policy);
  const told = asked.told;
  const here = new SeenFromHere(context, effective, policy);
  const byRoles = told && !('silent' in told.view) ? told.view : undefined;
  const view = byRoles ?? (await here.view());
  return {
    policy,
    url: isFailure(view) ? configured : view.url,
    user: userOf(configured),
    temporal: asked.temporal,
    seenBy: byRoles ? (policy.source === 'agent' ? 'agent' : 'orchestrator') : 'here',
    instance: view,
    fenceOwners: isFailure(temporal) || isFailure(view) ? undefined : await ownersOf(temporal.client, view),
    ...(isFailure(temporal) || !policy.archive ? {} : { archive: await archiveFacts(temporal.client, instance) }),
    losses: policy.archive ? await here.losses() : undefined,
    probe: told?.probe ?? (await here.probe()),
    sandbox: told ? ('silent' in told.sandbox ? undefined : told.sandbox) : await here.sandbox(),
  };
}

/** Whether the runs that hold the instance's fences are still there; undefined where Temporal does not say. */
async function ownersOf(client: Client, { fence }: InstanceView): Promise<Record<string, boolean> | undefined> {
  if (!fence || isFailure(fence)) return undefined;
  const asked = fence.fences.map(async ({ fenceId, owner }) => [fenceId, await ownerRuns(client, owner)] as const);
  return Promise.all(asked).then(Object.fromEntries, () => undefined);
}

async function askTemporal(
  { signal }: CliContext,
  effective: EffectiveConfig,
  { client, schedules }: { client: Client; schedules: readonly ScheduleChange[] },
  policy: InstancePolicy,
): Promise<{ temporal: OrFailure<TemporalFacts>; told?: CheckInstanceResult }> {
  try {
    const hasAgent = policy.source === 'agent';
    const [orchestrator, agent, sandbox] = await Promise.all([
      queueFacts(client, 'rewind', 'workflows'),
      hasAgent ? queueFacts(client, policy.hostQueue, 'activities') : undefined,
      queueFacts(client, 'rewind-sandbox', 'activities'),
    ]);
    const without = [
      ...(agent?.pollers === 0 ? (['agent'] as const) : []),
      ...(sandbox.pollers === 0 ? (['sandbox'] as const) : []),
    ];
    const input = { instance: policy.instance, without };
    const told = orchestrator.pollers > 0 ? await askRoles(client, input, signal) : undefined;
    const silent = (answer: object | undefined) => answer !== undefined && 'silent' in answer;
    const sandboxSilent = sandbox.pollers === 0 || silent(told?.sandbox);
    return {
      temporal: {
        ...temporalAddress(effective.temporal),
        orchestrator: { ...orchestrator, answered: told !== undefined },
        ...(agent ? { agent: { ...agent, answered: told ? !silent(told.view) : undefined } } : {}),
        sandbox: {
          ...sandbox,
          answered: told ? !silent(told.sandbox) : undefined,
          ...(sandboxSilent ? { busyWith: await runBeingProven(client).catch(() => undefined) } : {}),
        },
        schedule: scheduleOf(policy, schedules),
      },
      told: told && { ...told, view: differing(told, policy) ?? told.view },
    };
  } catch (error) {
    signal.throwIfAborted();
    return { temporal: { failure: failureOf(error) } };
  }
}

/** The roles act on their own rewind.yaml: what they see counts only when it is the same one. */
function differing(told: CheckInstanceResult, policy: InstancePolicy): { failure: Failure } | undefined {
  if (told.policyDigest === policy.digest) return undefined;
  return {
    failure: {
      code: 'POLICY_MISMATCH',
      message: `The orchestrator’s configuration of ${policy.instance} (${told.policyDigest}) is not this one (${policy.digest}).`,
      next: 'give all roles the same rewind.yaml, then restart the worker that has the older one',
    },
  };
}

function scheduleOf({ instance }: InstancePolicy, changes: readonly ScheduleChange[]): ScheduleFacts | undefined {
  const step = changes.find((change) => 'wanted' in change && change.wanted.instance === instance);
  if (!step || !('wanted' in step)) return undefined;
  const { id } = step.wanted;
  if (step.change === 'keep')
    return { id, state: 'as-configured', ...(step.paused === undefined ? {} : { paused: step.paused }) };
  return { id, state: step.change === 'create' ? 'missing' : step.change === 'update' ? 'differs' : 'foreign' };
}

/** What this process sees where no role can be asked; of another machine's files it sees nothing. */
class SeenFromHere {
  readonly #context: CliContext;
  readonly #effective: EffectiveConfig;
  readonly #policy: InstancePolicy;
  readonly #repository: () => Promise<Repository>;

  constructor(context: CliContext, effective: EffectiveConfig, policy: InstancePolicy) {
    this.#context = context;
    this.#effective = effective;
    this.#policy = policy;
    this.#repository = openOnce(effective.config.repository);
  }

  view(): Promise<OrFailure<InstanceView>> {
    const { config, home } = this.#effective;
    const { instance, source } = this.#policy;
    return orFailure(async () => {
      const open = openInstance({ config, env: this.#context.env, home: join(home, 'host') });
      const beside = source === 'agent' && isOnThisMachine(config.instances[instance]?.url ?? '');
      return viewInstance(await open({ instance }), beside);
    });
  }

  /** A store that does not answer is a finding of its own. */
  async losses(): Promise<Observed['losses']> {
    const { config } = this.#effective;
    const repository = await openRepository(config.repository).catch(() => undefined);
    if (!repository) return undefined;
    return openLosses(repository, this.#policy.instance)
      .catch(() => undefined)
      .finally(() => repository.close());
  }

  async probe(): Promise<ProbeReport> {
    const repository = await orFailure(this.#repository);
    if (isFailure(repository)) return { written: repository, readings: {} };
    try {
      const written = await orFailure(() => writeProbe(repository, this.#policy.instance));
      if (isFailure(written)) return { written, readings: {} };
      const read = await orFailure(async () => ({ reading: await readProbe(repository, written) }));
      const removed = await orFailure(async () => ({ done: await removeProbe(repository, written) }));
      const notRemoved = isFailure(removed) ? { notRemoved: removed.failure } : {};
      return { written, readings: { here: read }, ...notRemoved };
    } finally {
      repository.close();
    }
  }

  /** With a Redis elsewhere the sandbox is elsewhere, too. */
  async sandbox(): Promise<OrFailure<SandboxFacts> | undefined> {
    const { config, home } = this.#effective;
    if (!isOnThisMachine(config.instances[this.#policy.instance]?.url ?? '')) return undefined;
    return orFailure(async () => readSandboxFacts(await sandboxSettings(config, join(home, 'sandbox'))));
  }
}
