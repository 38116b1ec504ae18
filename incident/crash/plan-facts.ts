import type { CrashDecision } from './decide.ts';
import type { CrashFacts } from './facts.ts';

/** What an approval is bound to: when any of it changes, the plan is another one. Plain JSON. */
export interface CrashPlanFacts {
  readonly choices: readonly string[];
  readonly default?: string;
  readonly primaryMayStart: boolean;
  readonly servers: readonly {
    readonly address: string;
    readonly role: string;
    readonly runId: string;
    readonly follows?: string;
    readonly hasData: boolean;
    /** Of a replica that hears of nobody: it cannot move by itself. */
    readonly offset?: number;
  }[];
  readonly silent: readonly string[];
  readonly sentinels?: { readonly primary?: string; readonly epoch: number };
  readonly local?: { readonly state: string; readonly savedAt?: string; readonly keys?: number };
}

/** The part of the facts that must not change under an approval: no ages and no clocks. */
export function crashPlanFacts({ survey, local }: CrashFacts, decision: CrashDecision): CrashPlanFacts {
  const { sentinels } = survey;
  return {
    choices: decision.choices.map(({ id }) => id),
    ...(decision.default ? { default: decision.default } : {}),
    primaryMayStart: decision.primaryMayStart,
    servers: [...survey.servers]
      .sort((a, b) => (a.address < b.address ? -1 : 1))
      .map(({ address, role, runId, follows, keys, replication }) => ({
        address,
        role,
        runId,
        ...(follows ? { follows: follows.address } : {}),
        hasData: keys > 0,
        ...(follows && !follows.up ? { offset: replication.offset } : {}),
      })),
    silent: survey.silent.map(({ address, code }) => `${address} ${code}`).sort(),
    ...(sentinels
      ? {
          sentinels: {
            ...(sentinels.primary ? { primary: sentinels.primary } : {}),
            epoch: Math.max(0, ...sentinels.answers.map(({ epoch }) => epoch)),
          },
        }
      : {}),
    ...(local && decision.local
      ? {
          local: {
            state: decision.local.state,
            ...(local.dump.savedAt ? { savedAt: local.dump.savedAt } : {}),
            ...(local.dump.keys === undefined ? {} : { keys: local.dump.keys }),
          },
        }
      : {}),
  };
}
