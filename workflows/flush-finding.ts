import { workflowInfo } from '@temporalio/workflow';
import type { Moment } from '../archive/read/moment.ts';
import type { LossKind } from '../incident/evidence/loss-kind.ts';
import type { FlushEvidence } from '../incident/evidence/who-flushed.ts';
import type { RestorePlan } from '../restore/plan-restore.ts';
import type { RestorePoint } from '../restore/restore-point.ts';
import type { ConflictRule, RestoreInput, RestoreRequest } from '../restore/restore-request.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import type { StagedFacts } from '../restore/staged-facts.ts';
import type { TargetFacts } from '../restore/target-facts.ts';
import type { EvidenceSteps } from './evidence-steps.ts';
import type { Gates } from './gate.ts';
import { withPatience } from './park.ts';
import type { PlannedRestore } from './put-back.ts';
import type { RestoreSteps } from './restore-steps.ts';
import type { RunStory } from './run-story.ts';

export interface FlushFinding {
  readonly evidence: FlushEvidence;
  readonly loss: LossKind;
  readonly point: RestorePoint;
  /** Of the archive, where the point was made from it. */
  readonly moment?: Moment;
  readonly target: TargetFacts;
  /** What of the backup is wanted: one part for each database or pattern that lost keys. */
  readonly parts: readonly LostPart[];
}

export interface LostPart {
  readonly request: RestoreRequest;
  readonly staged: StagedFacts;
}

interface Finding {
  readonly gates: Gates;
  readonly story: RunStory;
  readonly steps: RestoreSteps;
  readonly evidence: EvidenceSteps;
  readonly input: Omit<RestoreInput, 'into' | 'match' | 'db'> & { readonly lossNotBefore?: string };
}

/** Before the flush, or the newest proven backup where nobody can tell when that was. */
const BEFORE_FLUSH = 'before-flush';

/** When and by whom, the last proven backup before it, and what of it is not live any more. */
export async function findWhatWasLost(
  { gates, story, steps, evidence: looking, input }: Finding,
  subject: RestoreSubject,
): Promise<FlushFinding> {
  const patience = { gates, story, alreadyDone: () => 'No key was touched.' };
  const evidence = await withPatience('gatherEvidence', () => looking.gatherEvidence(), patience);
  const asked = await withPatience('readRequest', (given: RestoreInput) => steps.readRequest(given), {
    ...patience,
    input: { ...input, ...conflictRuleOf(input), to: input.to ?? BEFORE_FLUSH, into: 'live' },
  });
  let moment: Moment | undefined;
  const point = await withPatience(
    'findBackup',
    async ({ to }: { to: string }) => {
      const options =
        to === BEFORE_FLUSH
          ? { before: timeOfLoss(evidence), lossNotBefore: lossNotBefore(evidence, input.lossNotBefore) }
          : {};
      const found = await steps.findPoint(to, options);
      // With the archive it is the state right before the flush, and not the last backup.
      moment = 'moment' in found ? found.moment : undefined;
      return 'moment' in found ? steps.materializeMoment(found.moment, workflowInfo().startTime.toISOString()) : found;
    },
    { ...patience, input: { to: asked.to } },
  );
  const target = await withPatience('surveyTarget', () => steps.surveyTarget(subject), patience);
  const whole = await withPatience('stageDump', () => steps.stageDump(subject, asked, point, target), patience);
  const loss = await withPatience('findLossKind', () => looking.findLossKind(subject, point, evidence), patience);
  const parts: LostPart[] = [];
  for (const selection of [loss.selection, ...loss.furtherSelections]) {
    const request = { ...asked, selection };
    const isWhole = Object.keys(selection).length === 0;
    const staged = isWhole ? whole : await steps.stageDump(subject, request, point, target);
    parts.push({ request, staged });
  }
  return { evidence, loss, point, ...(moment ? { moment } : {}), target, parts };
}

/** A replay is no rule for keys that stand in each other's way: it has a plan of its own. */
function conflictRuleOf({ onConflict }: Pick<RestoreInput, 'onConflict'>): Pick<RestoreInput, 'onConflict'> {
  return onConflict === 'replay' ? { onConflict: 'take-backup' } : {};
}

/** Plans every part anew, as the world is at this moment. */
export async function planParts(
  steps: RestoreSteps,
  { point, parts }: Pick<FlushFinding, 'point' | 'parts'>,
  target: TargetFacts,
  onConflict: ConflictRule,
): Promise<readonly RestorePlan[]> {
  return Promise.all(
    parts.map(({ request, staged }) => steps.planRestore({ ...request, onConflict }, point, staged, target)),
  );
}

/** The parts as restores that can be carried out. */
export function plannedParts(
  steps: RestoreSteps,
  subject: RestoreSubject,
  { point, parts }: Pick<FlushFinding, 'point' | 'parts'>,
  plans: readonly RestorePlan[],
  target: TargetFacts,
  onConflict: ConflictRule,
): readonly PlannedRestore[] {
  return parts.map(({ request, staged }, index) => ({
    steps,
    // Lists of conflicts are a file for each part.
    subject: index === 0 ? subject : { ...subject, attempt: (index + 1) * 100 },
    request: { ...request, onConflict },
    point,
    staged,
    plan: plans[index] as RestorePlan,
    target,
  }));
}

/** Clients and the slow log have whole seconds. */
const SECONDS_UNSURE = 2;

/**
 * A flush that the archive saw before this is not the one that is meant: that which Redis knows of, or that which was told.
 *
 * @param told ISO 8601: Redis knows nothing of a mass DEL, and may know of an older flush
 */
function lossNotBefore({ when, by }: FlushEvidence, told: string | undefined): string | undefined {
  const last = by.find(({ at, refused }) => at !== undefined && !refused)?.at;
  const times = [when.exact ? (last ?? when.earliest) : when.earliest, told].flatMap((at) =>
    at === undefined || Number.isNaN(Date.parse(at)) ? [] : [Date.parse(at)],
  );
  return times.length === 0 ? undefined : new Date(Math.max(...times) - SECONDS_UNSURE * 1_000).toISOString();
}

/**
 * A backup has to be older than the last flush that Redis knows of: that is what took what was there. Where it only
 * knows bounds, the newest backup that is proven and shows no loss itself is the best there is.
 */
function timeOfLoss({ when, by }: FlushEvidence): string | undefined {
  const last = by.find(({ at, refused }) => at !== undefined && !refused)?.at;
  if (!when.exact || last === undefined) return undefined;
  return new Date(Date.parse(last) - SECONDS_UNSURE * 1_000).toISOString();
}
