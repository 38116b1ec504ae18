import type { LossKind } from '../incident/evidence/loss-kind.ts';
import type { RestorePlan } from '../restore/plan-restore.ts';
import type { ConflictRule } from '../restore/restore-request.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import type { TargetFacts } from '../restore/target-facts.ts';
import { refuseOrGo } from './failure-code.ts';
import { seconds } from './figures.ts';
import { type FlushFinding, plannedParts, planParts } from './flush-finding.ts';
import { type FlushReplay, relativeWords } from './flush-replay.ts';
import type { GatePlan, Gates } from './gate.ts';
import type { Choice } from './gate-decision.ts';
import { withPatience } from './park.ts';
import type { PlannedRestore } from './put-back.ts';
import type { RestoreSteps } from './restore-steps.ts';
import type { RunStory } from './run-story.ts';

/** `replay`: all but the flush; `swap-back`: the databases are exchanged once more; `leave`: nothing is done. */
export type FlushChoice = ConflictRule | 'replay' | 'swap-back' | 'leave';

export interface ApprovedRecovery {
  readonly choice: FlushChoice;
  /** What is put back; none where nothing is. */
  readonly parts: readonly PlannedRestore[];
}

/** Shows what would come back, what is live now, and what each choice loses; and waits for a person. */
export async function approveFlushRecovery(
  { gates, story, steps, replay }: { gates: Gates; story: RunStory; steps: RestoreSteps; replay?: FlushReplay },
  subject: RestoreSubject,
  found: FlushFinding,
): Promise<ApprovedRecovery> {
  const look = async () => {
    const target = await steps.lookAtTarget(subject);
    await replay?.lookAgain(target);
    return { target, plans: (await planParts(steps, found, target, 'keep-live')).map(refuseOrGo) };
  };
  const first = await withPatience('planRestore', look, { gates, story, alreadyDone: () => 'No key was touched.' });
  const answer = await gates.ask({
    name: 'put back',
    ...gatePlan(found, first, subject.fenceId !== undefined, replay),
    refresh: async () => gatePlan(found, await look(), subject.fenceId !== undefined, replay),
  });
  const choice = answer.choice as FlushChoice;
  if (choice === 'swap-back' || choice === 'leave') return { choice, parts: [] };
  const now = await look();
  if (choice === 'replay') return { choice, parts: [await (replay as FlushReplay).planned(now.target)] };
  const plans = await planParts(steps, found, now.target, choice);
  return { choice, parts: plannedParts(steps, subject, found, plans.map(refuseOrGo), now.target, choice) };
}

function gatePlan(
  { evidence, loss, point, moment, parts }: FlushFinding,
  { target, plans }: { target: TargetFacts; plans: readonly RestorePlan[] },
  fenced: boolean,
  replay: FlushReplay | undefined,
): GatePlan {
  const wanted = sum(plans, ({ selected }) => selected.keys);
  const expired = sum(plans, ({ selected }) => selected.expired);
  const live = sum(plans, ({ liveKeys }) => liveKeys);
  const took = sum(plans, (plan) => plan.seconds);
  const where = parts
    .map(({ request: { selection } }) => [selection.db !== undefined && `database ${selection.db}`, selection.match])
    .map((words) => words.filter(Boolean).join(', ') || 'all databases')
    .join('; ');
  return {
    summary: [
      ...evidence.sentences,
      `**Comes back:** ${wanted} keys of ${where}, from ${point.id} (${point.time}, ${point.state}); ${expired} have expired since.`,
      ...(moment && moment.tells.length > 0 ? [`**That moment:** ${moment.tells.join(' ')}`] : []),
      `**Live now:** ${live} keys in there. ${fenced ? 'Nobody can write at the moment.' : 'Writes are NOT fenced.'}`,
      moment && replay?.found
        ? '**What is lost in any case:** nothing of before: the archive has all that was written up to there.'
        : `**What is lost in any case:** what was written between ${point.time} and ${evidence.when.latest}.`,
      ...(replay ? [replayInWords(replay)] : []),
      `**How long:** about ${seconds(took * 1_000)}.`,
      ...loss.unknown,
      ...evidence.unknown,
      ...new Set(plans.flatMap(({ tells }) => tells)),
    ].join('\n\n'),
    choices: [
      ...withoutRestore(loss),
      {
        id: 'keep-live',
        text: 'Put back what is missing; what was written since stays as it is.',
        loses: 'of keys that were written since, what they were before',
      },
      {
        id: 'take-backup',
        text: 'Put everything back as it was; keys that were written since and are in the backup, too, are replaced.',
        loses: `what was written since to keys of the backup (${live} keys are live); a safety copy is made and proven first`,
      },
      ...choiceOfReplay(replay),
    ],
    default: standardChoice(loss, replay),
    plan: {
      backup: point.id,
      where,
      wanted,
      // While nobody writes the count is exact; else it swings by itself, and its order has to do.
      live: fenced || live === 0 ? live : 2 ** Math.ceil(Math.log2(live)),
      server: target.server.runId,
      role: target.role,
      fenced,
      ...(replay?.found ? { replay: { cut: replay.found.moment.position, keys: replay.found.keys } } : {}),
    },
  };
}

/** What whoever started the run asked for; a replay that cannot be had is replaced by nothing in silence. */
function standardChoice(loss: LossKind, replay: FlushReplay | undefined): string | undefined {
  if (replay?.asked === 'replay') return replay.found ? 'replay' : undefined;
  return withoutRestore(loss)[0]?.id ?? (replay?.asked === 'take-backup' ? 'take-backup' : 'keep-live');
}

function choiceOfReplay(replay: FlushReplay | undefined): Choice[] {
  if (!replay?.found) return [];
  const { leftOut, commands, relative, keys } = replay.found;
  const without = leftOut.map(({ command, count }) => (count > 1 ? `${count} ${command}` : command)).join(', ');
  const all = keys === undefined ? '' : ` (${keys} keys, proven)`;
  const rests = relative.keys > 0 ? `nothing that was written; ${relativeWords(relative)}` : 'nothing';
  return [
    {
      id: 'replay',
      text: `Undo only that command: all but ${without} is as it was written, with the ${commands} commands that came since${all}.`,
      loses: `${rests}; a safety copy of what is live is made and proven first`,
    },
  ];
}

function replayInWords({ refused, found }: FlushReplay): string {
  if (!found) return `**All but the flush (replay) is not possible:** ${refused} What is left: keep-live, take-backup.`;
  const { commands, leftOut, relative, relativeFile } = found;
  const where = leftOut.map(({ command, position, database }) => `${command} (db ${database}, position ${position})`);
  const named = relativeFile ? ` They are named in ${relativeFile}.` : '';
  return `**All but the flush (replay):** left out is ${where.join(', ')}; ${commands} commands came since; ${relativeWords(relative)}.${named}`;
}

/** Where nothing has to come out of a backup. */
function withoutRestore({ kind, swapped }: LossKind): Choice[] {
  if (kind === 'swapdb' && swapped) {
    const text = `SWAPDB ${swapped.join(' ')} once more: no key is lost, and none is taken from a backup.`;
    return [{ id: 'swap-back', text, loses: 'nothing; what was written since moves with its database' }];
  }
  if (kind !== 'not-a-loss') return [];
  return [{ id: 'leave', text: 'Leave everything as it is: no loss was found.', loses: 'nothing' }];
}

function sum<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((total, one) => total + of(one), 0);
}
