import type { CutManner } from './chaos-link.ts';

/** Who is killed, stands still, or is cut off. */
export const victims = ['orchestrator', 'agent', 'sandbox', 'temporal', 'redis', 's3'] as const;
export type Victim = (typeof victims)[number];

export type Runbook =
  | 'restoreToPoint'
  | 'safetyCopy'
  | 'replaceAll'
  | 'intoSandbox'
  | 'accidentalFlush'
  | 'nodeCrash'
  | 'dataCorruption';

/** `gate` is the moment in which a person is asked; every other step is an activity. */
export type Step = string;

export interface ChaosCase {
  readonly runbook: Runbook;
  readonly step: Step;
  /** In the middle of the step, or right after it. */
  readonly state: 'scheduled' | 'completed';
  readonly victim: Victim;
  /**
   * `pause` and the cuts are longer than the heartbeat timeout: the step is given out again while the first attempt goes
   * on. A cut keeps a role from everybody, or a server from every role.
   */
  readonly fault: 'kill -9' | 'pause' | CutManner;
}

/** The steps of each runbook in the order of its run, as the harness drives it. */
export const stepsOfRunbook: Readonly<Record<Runbook, readonly Step[]>> = {
  restoreToPoint: [
    ...['readPolicy', 'readRequest', 'findBackup', 'surveyTarget', 'stageDump', 'planRestore', 'gate', 'migrateKeys'],
    ...['compareRestored', 'compareAll', 'storeReport', 'cleanUpRestore'],
  ],
  safetyCopy: ['bgsave', 'upload', 'loadAndVerify', 'publish'],
  replaceAll: ['gate', 'streamAsPrimary', 'compareRestored', 'cleanUpRestore'],
  intoSandbox: ['findBackup', 'startSandbox'],
  accidentalFlush: [
    ...['readPolicy', 'fenceWrites', 'watchFence', 'gatherEvidence', 'readRequest', 'findBackup', 'surveyTarget'],
    ...['stageDump', 'findLossKind', 'planRestore', 'gate', 'migrateKeys', 'compareRestored', 'unfenceWrites'],
    ...['compareAll', 'storeReport', 'cleanUpRestore'],
  ],
  nodeCrash: [
    ...['readPolicy', 'surveyCopies', 'readCrashSite', 'decideCrash', 'gate', 'findBackup', 'placeBackup'],
    ...['startServer', 'storeReport', 'cleanUpRestore'],
  ],
  dataCorruption: [
    ...['readPolicy', 'diagnoseFiles', 'corruptionChoices', 'gate', 'buildChoice', 'swapIn', 'startServer'],
    ...['storeReport', 'cleanUpRestore'],
  ],
};

/** What these do is seen by others: the boundaries that the table begins with. */
const stateChanging = new Set([
  ...['fenceWrites', 'upload', 'migrateKeys', 'streamAsPrimary', 'unfenceWrites', 'swapIn', 'placeBackup'],
  ...['startServer', 'startSandbox'],
]);

/** Before it there is no server that could be killed. */
const redisLivesFrom: Partial<Record<Runbook, Step>> = { nodeCrash: 'startServer', dataCorruption: 'startServer' };

/**
 * Every case. A watch ends only with its run, and a gate is no step that completes. A cut is silent or refusing by turns;
 * another seed begins with the other.
 */
export function chaosTable(seed = 0): readonly ChaosCase[] {
  let cuts = seed;
  return (Object.keys(stepsOfRunbook) as Runbook[]).flatMap((runbook) => {
    const steps = stepsOfRunbook[runbook];
    const alive = steps.indexOf(redisLivesFrom[runbook] ?? (steps[0] as Step));
    return steps.flatMap((step, at) => {
      const there = victims.filter((victim) => victim !== 'redis' || at >= alive);
      const states = step === 'gate' || step === 'watchFence' ? [MIDDLE] : [MIDDLE, 'completed' as const];
      const killed = states.flatMap((state) =>
        there.map((victim) => ({ runbook, step, state, victim, fault: 'kill -9' }) as const),
      );
      if (!stateChanging.has(step)) return killed;
      const held = there.flatMap((victim) => {
        cuts += 1;
        const manner = cuts % 2 === 0 ? 'silence' : 'refusal';
        const where = { runbook, step, state: MIDDLE, victim };
        // A server that is being started is nobody's to stop, and the agent finds it without any network.
        const isBeingStarted = victim === 'redis' && redisLivesFrom[runbook] !== undefined;
        return isBeingStarted ? [] : [{ ...where, fault: 'pause' } as const, { ...where, fault: manner } as const];
      });
      return [...killed, ...held];
    });
  });
}

const MIDDLE = 'scheduled' as const;

/**
 * The table in an order that the seed decides, what is most telling first: each time the case that adds most of what was
 * not there yet: a victim in a runbook, a boundary that changes state, any other boundary.
 */
export function drawCases(seed: number, count = Number.POSITIVE_INFINITY): readonly ChaosCase[] {
  const left = shuffled(chaosTable(seed), random(seed)).map((each) => ({ each, tellings: tellingsOf(each) }));
  const drawn: ChaosCase[] = [];
  const covered = new Set<string>();
  while (left.length > 0 && drawn.length < count) {
    let best = 0;
    let most = -1;
    for (const [index, { tellings }] of left.entries()) {
      const worth = tellings.reduce((sum, [what, weight]) => sum + (covered.has(what) ? 0 : weight), 0);
      if (worth > most) [best, most] = [index, worth];
    }
    const [next] = left.splice(best, 1) as [(typeof left)[number]];
    for (const [what] of next.tellings) covered.add(what);
    drawn.push(next.each);
  }
  return drawn;
}

function tellingsOf({ runbook, step, state, victim, fault }: ChaosCase): [what: string, weight: number][] {
  const changes = stateChanging.has(step);
  return [
    [`${fault} ${step}`, changes ? 8 : 1],
    [`${runbook} ${victim}`, 4],
    [`${runbook} ${step} ${state}`, changes ? 5 : 1],
    ...(changes ? ([[`${step} ${victim}`, 3]] as [string, number][]) : []),
  ];
}

export function nameOf({ runbook, step, state, victim, fault }: ChaosCase): string {
  const when = step === 'gate' ? 'at the gate' : `${state === 'scheduled' ? 'in the middle of' : 'after'} ${step}`;
  return `${runbook}: ${victim} ${happens[fault]} ${when}`;
}

const happens: Readonly<Record<ChaosCase['fault'], string>> = {
  'kill -9': 'is killed -9',
  pause: 'stands still',
  silence: 'is cut off in silence',
  refusal: 'is cut off by resets',
};

/** mulberry32: small, and the same everywhere. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function shuffled<T>(all: readonly T[], next: () => number): T[] {
  const mixed = [...all];
  for (let last = mixed.length - 1; last > 0; last -= 1) {
    const other = Math.floor(next() * (last + 1));
    [mixed[last], mixed[other]] = [mixed[other] as T, mixed[last] as T];
  }
  return mixed;
}
