import {
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  isCancellation,
  proxyActivities,
  setCurrentDetails,
} from '@temporalio/workflow';
import type {
  DescribePolicyActivity,
  ProbeActivities,
  SandboxActivities,
  ViewActivities,
} from '../activities/check.ts';
import type { Failure } from '../check/finding.ts';
import type { InstanceView, OrFailure, ProbeReport } from '../check/observed.ts';
import type { SandboxFacts } from '../check/sandbox-facts.ts';
import { failureCode, sentenceOf } from './failure-code.ts';

export interface CheckInstanceInput {
  readonly instance: string;
  /** Roles that are known to be gone need not be waited for. */
  readonly without?: readonly ('agent' | 'sandbox')[];
}

/** What a role said, what went wrong there, or that nobody took the question. */
export type Answer<T> = OrFailure<T> | { readonly silent: true };

/** What the roles see. Nothing is judged here: `rewind check` does, which knows what the roles cannot. */
export interface CheckInstanceResult {
  readonly instance: string;
  readonly policyDigest: string;
  readonly view: Answer<InstanceView>;
  readonly sandbox: Answer<SandboxFacts>;
  readonly probe: ProbeReport;
}

/** A role that is there takes a question at once; one that is at work takes it between two steps. */
const SILENCE = '10s';
/** A store that does not answer is given up by its client in less. */
const LONGEST = '75s';

/** Asks every role of a backup what it sees, and sends a small object the way that a backup goes. */
export async function checkInstance({ instance, without = [] }: CheckInstanceInput): Promise<CheckInstanceResult> {
  const patience = { scheduleToStartTimeout: SILENCE, startToCloseTimeout: LONGEST, retry: { maximumAttempts: 1 } };
  const orchestrator = proxyActivities<DescribePolicyActivity & ProbeActivities>({ ...patience, taskQueue: 'rewind' });
  const policy = await orchestrator.describePolicy.executeWithOptions({ summary: 'what is configured?' }, [
    { instance },
  ]);
  const host = proxyActivities<ViewActivities & ProbeActivities>({ ...patience, taskQueue: policy.hostQueue });
  const sandbox = proxyActivities<SandboxActivities & ProbeActivities>({ ...patience, taskQueue: 'rewind-sandbox' });

  const subject = { instance, policyDigest: policy.digest };
  const silent = Promise.resolve({ silent: true as const });
  const [view, facts] = await Promise.all([
    without.includes('agent')
      ? silent
      : answer(() => host.viewInstance.executeWithOptions({ summary: `how is ${instance}?` }, [subject])),
    without.includes('sandbox')
      ? silent
      : answer(() => sandbox.describeSandbox.executeWithOptions({ summary: 'what can be loaded there?' }, [])),
  ]);

  // Without an agent somebody else writes: the store itself is looked at in any case.
  const [writer, byAgent] = 'silent' in view ? [orchestrator, false] : [host, policy.hostQueue !== 'rewind'];
  const written = await answer(() =>
    writer.writeProbe.executeWithOptions({ summary: `a probe to ${policy.repository.url}` }, [{ instance }]),
  );
  if ('silent' in written || 'failure' in written) {
    const failure = 'silent' in written ? GONE : written.failure;
    return {
      instance,
      policyDigest: policy.digest,
      view,
      sandbox: facts,
      probe: { written: { failure }, readings: {} },
    };
  }
  const read = (role: typeof orchestrator | typeof sandbox) =>
    answer(() => role.readProbe.executeWithOptions({ summary: 'is it the same repository?' }, [written]));
  try {
    const [ofOrchestrator, ofSandbox] = await Promise.all([
      byAgent ? read(orchestrator) : undefined,
      'silent' in facts ? undefined : read(sandbox),
    ]);
    const removed = await answer(() => writer.removeProbe.executeWithOptions({ summary: 'away with it' }, [written]));
    setCurrentDetails(`Asked every role of ${instance}; \`rewind check ${instance}\` says what it means.`);
    return {
      instance,
      policyDigest: policy.digest,
      view,
      sandbox: facts,
      probe: {
        written,
        readings: { ...said('orchestrator', ofOrchestrator), ...said('sandbox', ofSandbox) },
        ...(removed && 'failure' in removed ? { notRemoved: removed.failure } : {}),
      },
    };
  } catch (error) {
    await CancellationScope.nonCancellable(() => writer.removeProbe(written).catch(() => undefined));
    throw error;
  }
}

const GONE: Failure = {
  code: 'AGENT_SILENT',
  message: 'The worker that answered a moment ago does not take the probe.',
  next: 'rewind check',
};

async function answer<T>(ask: () => Promise<T>): Promise<Answer<T>> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof ActivityFailure) || isCancellation(error)) throw error;
    const code = failureCode(error);
    if (code === 'TIMEOUT_SCHEDULE_TO_START') return { silent: true };
    const [told] = (error.cause instanceof ApplicationFailure ? (error.cause.details ?? []) : []) as {
      next?: string;
    }[];
    return {
      failure: { code, message: sentenceOf(error), next: told?.next ?? 'temporal workflow show, then rewind check' },
    };
  }
}

function said<T>(role: 'orchestrator' | 'sandbox', reading: Answer<T> | undefined): Record<string, OrFailure<T>> {
  return reading && !('silent' in (reading as object)) ? { [role]: reading as OrFailure<T> } : {};
}
