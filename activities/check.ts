import type { InstanceContext } from '../backup/instance-context.ts';
import { viewInstance } from '../check/instance-view.ts';
import type { InstanceView } from '../check/observed.ts';
import {
  type Probe,
  type ProbeReading,
  readProbe,
  removeProbe,
  type WrittenProbe,
  writeProbe,
} from '../check/probe.ts';
import { readSandboxFacts, type SandboxFacts } from '../check/sandbox-facts.ts';
import type { Config } from '../config/config.ts';
import { noteSeen } from '../incident/crash/last-seen.ts';
import { type InstancePolicy, policyOf } from '../policy/instance-policy.ts';
import type { Repository } from '../repository/repository.ts';
import type { ProofSettings } from '../sandbox/prove.ts';
import { runStep } from './step.ts';

interface Subject {
  readonly instance: string;
  readonly policyDigest: string;
}

/** What `check` asks of every role: whether it sees the same repository as the others. */
export function probeActivities(repository: () => Promise<Repository>) {
  return {
    writeProbe: ({ instance }: { instance: string }): Promise<WrittenProbe> =>
      runStep(async () => writeProbe(await repository(), instance)),

    readProbe: (probe: Probe): Promise<{ reading: ProbeReading }> =>
      runStep(async () => ({ reading: await readProbe(await repository(), probe) })),

    removeProbe: (probe: Pick<Probe, 'key'>): Promise<void> =>
      runStep(async () => removeProbe(await repository(), probe)),
  };
}

/** What `check` asks of the orchestrator: the policy that it plans with. Nothing else is touched. */
export function describePolicyActivity(config: Config) {
  return {
    describePolicy: ({ instance }: { instance: string }): Promise<InstancePolicy> =>
      runStep(async () => policyOf(config, instance)),
  };
}

/** What `check` asks of whoever takes the saves: an agent beside Redis, or the orchestrator from afar. */
export function viewActivities(contextOf: (subject: Subject) => Promise<InstanceContext>) {
  return {
    viewInstance: (subject: Subject): Promise<InstanceView> =>
      runStep(async () => {
        const context = await contextOf(subject);
        const view = await viewInstance(context, context.policy.source === 'agent');
        // A disk that takes no note is found by the check itself.
        if (!('failure' in view.redis))
          await noteSeen({ home: context.home, instance: subject.instance }).catch(() => undefined);
        return view;
      }),
  };
}

/** What `check` asks of a sandbox. */
export function sandboxActivities(settings: ProofSettings) {
  return {
    describeSandbox: (): Promise<SandboxFacts> => runStep(() => readSandboxFacts(settings)),
  };
}

export type ProbeActivities = ReturnType<typeof probeActivities>;
export type DescribePolicyActivity = ReturnType<typeof describePolicyActivity>;
export type ViewActivities = ReturnType<typeof viewActivities>;
export type SandboxActivities = ReturnType<typeof sandboxActivities>;
