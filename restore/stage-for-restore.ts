import type { InstanceContext } from '../backup/instance-context.ts';
import type { StepIO } from '../process/step-io.ts';
import { whyNotLoadable } from './as-primary/loadable-dump.ts';
import { unsayable } from './commands/cannot-say.ts';
import { surveyForCommands } from './commands/command-survey.ts';
import { inspectStaged } from './inspect-staged.ts';
import { selectionHere } from './key-list.ts';
import { type KeySelection, KeySelector } from './keys/key-selection.ts';
import type { RestorePoint } from './restore-point.ts';
import type { RestoreRequest } from './restore-request.ts';
import type { RestoreSubject } from './restore-subject.ts';
import { restoreFolder, stageDump } from './staged-dump.ts';
import type { StagedFacts } from './staged-facts.ts';
import type { TargetFacts } from './target-facts.ts';

/** By how much later keys expire under `--ttl shift`: the age of the backup by the target's clock, in milliseconds. */
export function shiftOf(
  request: Pick<RestoreRequest, 'ttl'>,
  point: Pick<RestorePoint, 'time'>,
  nowMs: number,
): number {
  return request.ttl === 'shift' ? Math.max(0, nowMs - Date.parse(point.time)) : 0;
}

/** Brings the dump here and says what of it is meant, and what stands in the way. */
export async function stageForRestore(
  { repository, home }: Pick<InstanceContext, 'repository' | 'home'>,
  { restoreId }: RestoreSubject,
  request: RestoreRequest,
  point: RestorePoint,
  target: TargetFacts | undefined,
  io: StepIO,
): Promise<StagedFacts> {
  const path = await stageDump(repository, restoreFolder(home, restoreId), point, io);
  const nowMs = target?.timeMs ?? Date.now();
  const selection = await selectionHere(repository, restoreFolder(home, restoreId), request, io);
  const { ttl } = request;
  const facts = await inspectStaged(path, { selection, ttl, shiftMs: shiftOf(request, point, nowMs), nowMs }, io);
  return { ...facts, cannotSay: await unsaid(path, selection, point, target, io) };
}

/** What would be missing afterwards, where keys have to be said in commands; details that no application reads are not. */
async function unsaid(
  path: string,
  selection: KeySelection,
  point: RestorePoint,
  target: TargetFacts | undefined,
  io: StepIO,
): Promise<string[]> {
  if (!target || whyNotLoadable(point.rdb, target.server) === undefined) return [];
  const selector = await KeySelector.open(selection);
  const facts = await surveyForCommands(
    { path },
    ({ db, keyBytes, keyStart, keyEnd }) => selector.has(db, keyBytes, keyStart, keyEnd),
    { signal: io.signal },
  );
  return unsayable(target.server, facts)
    .filter(({ loses }) => loses !== 'detail')
    .map(({ sentence }) => sentence);
}
