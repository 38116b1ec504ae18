import { archiveChoices } from './archive-choices.ts';
import { backupChoices } from './backup-choices.ts';
import type { CrashChoice } from './choice.ts';
import { primaryItself } from './copies.ts';
import type { CrashFacts } from './facts.ts';
import { startLocal } from './local-choice.ts';
import { promotedPrimaries, replicasWithData } from './ranked-copies.ts';
import { dumpFrom, leaveRunning, promote, replicaOf } from './server-choices.ts';

/** Replicas that a gate offers. */
const REPLICAS = 4;

/** Every way on that does no harm by itself, the best ones of a kind first. */
export function choicesFor(facts: CrashFacts): CrashChoice[] {
  const running = primaryItself(facts.survey);
  const promoted = promotedPrimaries(facts.survey);
  const replicas = replicasWithData(facts).slice(0, REPLICAS);
  const canStart = !facts.hostLost && !running;
  const promotedWithData = promoted.filter(({ keys }) => keys > 0);
  const onlyPrimary = promotedWithData.length === 0;
  return [
    ...(running ? [leaveRunning(running)] : []),
    // Also of a node that came back as a second primary.
    ...(canStart || running?.role === 'primary' ? promoted.map((copy) => replicaOf(facts, copy)) : []),
    // A second primary beside a promoted one would split the data in two: none is offered.
    ...(onlyPrimary ? replicas.map((copy) => promote(facts, copy)) : []),
    ...(onlyPrimary && canStart && replicas[0] ? [dumpFrom(facts, replicas[0])] : []),
    ...(onlyPrimary && canStart ? startLocal(facts) : []),
    ...(onlyPrimary ? archiveChoices(facts) : []),
    ...(onlyPrimary ? backupChoices(facts) : []),
    // The host is gone and another server took over: there is nothing left to start.
    ...(canStart || running ? [] : promotedWithData.map(leaveRunning)),
    ...(mayChangeByItself(facts) ? [lookAgain] : []),
  ];
}

const lookAgain: CrashChoice = {
  id: 'look-again',
  kind: 'look-again',
  text: 'Start nothing, and ask every server again.',
  loses: 'Nothing; the time until then.',
};

/** Somebody did not answer who may hold data, loads it or is about to act. */
function mayChangeByItself({ survey: { silent, servers, sentinels } }: CrashFacts): boolean {
  return (
    silent.some(({ foundBy, code }) => foundBy !== 'configured-primary' || code !== 'REDIS_UNREACHABLE') ||
    servers.some(({ follows }) => follows?.synchronizing) ||
    (sentinels !== undefined && (sentinels.willPromote || sentinels.answers.length === 0))
  );
}
