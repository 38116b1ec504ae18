import type { OpenLoss } from '../archive/loss/loss-record.ts';
import type { FenceState } from '../fence/fence-state.ts';
import type { InstancePolicy } from '../policy/instance-policy.ts';
import type { IdentityJudgement } from '../repository/judge-identity.ts';
import type { ArchiveFacts } from './archive.ts';
import type { CommandRight } from './command-rights.ts';
import type { Failure } from './finding.ts';
import type { HostFacts } from './host-facts.ts';
import type { ProbeReading, WrittenProbe } from './probe.ts';
import type { RedisFacts } from './redis-facts.ts';
import type { SandboxFacts } from './sandbox-facts.ts';

export type OrFailure<T> = T | { readonly failure: Failure };

export function isFailure(answer: object): answer is { readonly failure: Failure } {
  return 'failure' in answer;
}

/** An instance as one process sees it: its agent, or, where no agent can be asked, the one that runs the check. */
export interface InstanceView {
  /** Of the server that was asked (Sentinels may have named another than the configuration), without a login. */
  readonly url: string;
  readonly redis: OrFailure<RedisFacts>;
  /** Empty where Redis lets nobody in. */
  readonly rights: readonly CommandRight[];
  /** Of the machine that Redis runs on; absent where the looking process is on another one. */
  readonly host?: HostFacts;
  /** Absent where Redis could not be asked. */
  readonly identity?: OrFailure<{ readonly judgement: IdentityJudgement }>;
  /** Absent where an older process looked. */
  readonly fence?: OrFailure<FenceState>;
}

/** What became of the small object that was sent through the repository. */
export interface ProbeReport {
  readonly written: OrFailure<WrittenProbe>;
  /** By who read it back; those that could not be asked are absent. */
  readonly readings: Readonly<Partial<Record<Reader, OrFailure<{ readonly reading: ProbeReading }>>>>;
  /** Present where it could not be removed again. */
  readonly notRemoved?: Failure;
}

export type Reader = 'agent' | 'orchestrator' | 'sandbox' | 'here';

/** What Temporal says of a role's task queue. */
export interface QueueFacts {
  readonly queue: string;
  /** Workers that polled it lately. */
  readonly pollers: number;
  /** False where a question was put into the queue and nobody took it. */
  readonly answered?: boolean;
  /** Of a queue whose workers take one step at a time: one of them is at it, and polls for no other. */
  readonly busyWith?: string;
}

export interface TemporalFacts {
  readonly address: string;
  readonly namespace: string;
  readonly orchestrator: QueueFacts;
  /** Absent where the instance needs no agent. */
  readonly agent?: QueueFacts;
  readonly sandbox: QueueFacts;
  /** Absent where the instance has no schedule. */
  readonly schedule?: ScheduleFacts;
}

export interface ScheduleFacts {
  readonly id: string;
  readonly state: 'as-configured' | 'missing' | 'differs' | 'foreign';
  /** The note that a person left who paused it, or an empty one. */
  readonly paused?: string;
}

/** All that is known of one instance when its check is judged. Plain data: it is made in several processes. */
export interface Observed {
  readonly policy: InstancePolicy;
  /** Of the server that was asked, without a login. */
  readonly url: string;
  /** Who redis-rewind logs in as. */
  readonly user: string;
  readonly temporal: OrFailure<TemporalFacts>;
  /** Who looked at Redis: what `here` sees of another machine's files counts for nothing. */
  readonly seenBy: 'agent' | 'orchestrator' | 'here';
  readonly instance: OrFailure<InstanceView>;
  /** Whether the run that holds a fence is still there, by the fence's id; absent where Temporal could not be asked. */
  readonly fenceOwners?: Readonly<Record<string, boolean>>;
  /** Absent where Temporal could not be asked, or no archive is wanted. */
  readonly archive?: ArchiveFacts;
  /** That nobody has closed; absent where the repository could not be asked, or no archive is wanted. */
  readonly losses?: readonly OpenLoss[];
  readonly probe: ProbeReport;
  /** Absent where no sandbox could be asked. */
  readonly sandbox?: OrFailure<SandboxFacts>;
}
