import { archiveIsAhead, archiveIsNewest } from './archive-choices.ts';
import type { CrashChoice } from './choice.ts';
import { choicesFor } from './choices.ts';
import { compareLocal, type LocalVerdict, newestProven } from './compare-local.ts';
import { followersOfPrimary, primaryItself } from './copies.ts';
import type { CrashFacts } from './facts.ts';
import { isOlder } from './local-choice.ts';
import { type LossWindow, lossWindow } from './loss-window.ts';
import { promotedPrimaries, replicasWithData } from './ranked-copies.ts';
import { durationWords, keyCount, timeWords } from './words.ts';

/** What is to be done about a crashed node, and what a person has to decide. Plain data. */
export interface CrashDecision {
  /** True: it may be started as the primary from its own files without asking anybody. */
  readonly primaryMayStart: boolean;
  readonly reason: string;
  /** What was found, as sentences for the gate. */
  readonly findings: readonly string[];
  readonly choices: readonly CrashChoice[];
  /** Id of the choice that loses least; absent where nothing is safe to propose. */
  readonly default?: string;
  /** Of the default; for another choice see {@link lossWindow}. */
  readonly lossWindow: LossWindow;
  readonly local?: LocalVerdict;
}

/** A copy with fewer keys than this share of the newest proven backup is never proposed by itself. */
const FEWER = 0.5;
/** Ages are known to a second or two: a smaller gain is none. */
const GAIN_SECONDS = 5;

/**
 * Decides from what the servers, the local files and the catalogue say. Where a replica holds data, another primary was
 * promoted, or somebody who may hold data did not answer, nothing is started as a primary by itself.
 */
export function decideCrash(facts: CrashFacts): CrashDecision {
  const local = facts.local && compareLocal(facts.local, facts.backups, facts.flagBelow);
  const choices = choicesFor(facts);
  const against = whyNot(facts, local);
  const proposed = propose(facts, choices);
  return {
    primaryMayStart: against === undefined,
    reason: against ?? `No other server holds data. ${local?.sentence ?? ''}`.trim(),
    findings: findingsOf(facts, local),
    choices,
    ...(proposed ? { default: proposed.id } : {}),
    lossWindow: lossWindow(facts, proposed),
    ...(local ? { local } : {}),
  };
}

/** The first reason why nothing is started as a primary by itself. */
function whyNot(facts: CrashFacts, local: LocalVerdict | undefined): string | undefined {
  const { survey } = facts;
  const running = primaryItself(survey);
  const [promoted] = promotedPrimaries(facts.survey);
  if (running) {
    const split =
      running.role === 'primary' && promoted ? `, and ${promoted.address} is a primary too: the data is split` : '';
    return `It is not down: ${running.address} answers as a ${running.role} with ${keyCount(running.keys)}${split}.`;
  }
  const itself = survey.silent.find(({ foundBy }) => foundBy === 'configured-primary');
  if (itself?.code === 'REDIS_LOADING') return 'It is not down: it is loading its data.';
  if (itself?.code === 'REDIS_REFUSED_LOGIN') return 'It is not down: it answers and refuses the login.';
  if (promoted)
    return `${promoted.address} is the primary now, with ${keyCount(promoted.keys)}: a second primary would split the data.`;
  const { sentinels } = survey;
  if (sentinels?.promoted)
    return `The Sentinels have promoted ${sentinels.primary}, which did not answer: a second primary would split the data.`;
  if (sentinels?.willPromote) return 'The Sentinels hold it for down and are about to promote a replica.';
  const [best] = replicasWithData(facts);
  if (best)
    return `The replica ${best.address} holds ${keyCount(best.keys)}: what happens to them is for a person to decide.`;
  const syncing = survey.servers.find(({ follows }) => follows?.synchronizing);
  if (syncing) return `${syncing.address} is being synchronized: what it holds is not known yet.`;
  const silent = survey.silent.find(({ foundBy }) => foundBy !== 'configured-primary');
  if (silent)
    return `${silent.address} did not answer (${silent.reason}): it may hold data, and would copy what the primary starts with.`;
  if (sentinels && sentinels.answers.length === 0)
    return 'No Sentinel answered: whether another primary was promoted is not known.';
  if (facts.hostLost) return 'Its host is gone: there is nothing to start.';
  if (!facts.local || !local) return 'What it would load is not known.';
  if (local.state === 'good') {
    if (!archiveIsAhead(facts)) return undefined;
    return `${local.sentence} But its archive goes on beyond that, up to ${timeWords(facts.archive!.endAt)}.`;
  }
  const elsewhere = newestProven(facts.backups) ?? facts.archive;
  const nothingElse = local.state === 'missing' && elsewhere === undefined;
  return nothingElse ? undefined : local.sentence;
}

/** The choice that loses least, and harms nothing that a person would want to see first. */
function propose(facts: CrashFacts, choices: readonly CrashChoice[]): CrashChoice | undefined {
  const of = (kind: CrashChoice['kind']) => choices.filter((choice) => choice.kind === kind);
  const enough = ({ keys }: CrashChoice) => {
    const expected = newestProven(facts.backups)?.keys ?? 0;
    return keys === undefined || keys >= expected * (facts.flagBelow ?? FEWER);
  };
  const [running] = of('leave-running');
  // Two primaries: whose writes stay is for a person to say.
  if (running && of('replica-of').length > 0) return undefined;
  if (running) return enough(running) ? running : undefined;
  const loading = facts.survey.silent.some(
    ({ code, foundBy }) =>
      code === 'REDIS_LOADING' || (code === 'REDIS_REFUSED_LOGIN' && foundBy === 'configured-primary'),
  );
  const [again] = of('look-again');
  const primaries = of('replica-of');
  if (primaries.length > 1) return undefined;
  if (primaries[0]) return enough(primaries[0]) ? primaries[0] : undefined;
  if (loading || facts.survey.sentinels?.willPromote || facts.survey.sentinels?.promoted) return again;
  const [promote] = of('promote');
  const [local] = of('start-local');
  const goodLocal =
    local && compareLocal(facts.local!, facts.backups, facts.flagBelow).state === 'good' ? local : undefined;
  if (promote && enough(promote)) {
    const gain =
      (promote.losesSeconds ?? Number.POSITIVE_INFINITY) - (goodLocal?.losesSeconds ?? Number.POSITIVE_INFINITY);
    return goodLocal && gain > GAIN_SECONDS ? goodLocal : promote;
  }
  if (promote) return undefined;
  const others = of('other-instance');
  // Which of several takes the data is for a person to say.
  const other = others.length === 1 ? others[0] : undefined;
  // What has the disaster in it is for a person to choose.
  const holdsDisaster = archiveIsNewest(facts) && facts.archive?.destroyedAt !== undefined;
  const sound = holdsDisaster ? undefined : (of('archive')[0] ?? other);
  if (sound && archiveIsAhead(facts)) return sound;
  return goodLocal ?? sound ?? of('backup')[0] ?? of('start-empty')[0];
}

function findingsOf(facts: CrashFacts, local: LocalVerdict | undefined): string[] {
  const { survey, death, backups } = facts;
  const proven = newestProven(backups);
  const followers = followersOfPrimary(survey).filter(({ keys }) => keys > 0);
  const refused = facts.local && followers.find((follower) => isOlder(facts.local!, follower));
  return [
    ...(death ? death.sentences : []),
    ...survey.servers.map((copy) => {
      const follows = copy.follows
        ? `, follows ${copy.follows.address} (link ${copy.follows.synchronizing ? 'synchronizing' : copy.follows.up ? 'up' : 'down'}${copy.follows.downForSeconds === undefined ? '' : ` for ${durationWords(copy.follows.downForSeconds)}`})`
        : '';
      const age = copy.role === 'replica' && copy.ageSeconds === undefined ? ', age of its data unknown' : '';
      const behind = copy.behindBytes ? `, ${copy.behindBytes} bytes behind` : '';
      return `${copy.address} is a ${copy.role} with ${keyCount(copy.keys)}${follows}${age}${behind}.`;
    }),
    ...survey.silent.map(({ address, reason }) => `${address} did not answer: ${reason}.`.replace(/\.\.$/, '.')),
    ...sentinelFindings(facts),
    ...(local ? [local.sentence] : facts.hostLost ? ['Its host was not reached.'] : []),
    ...(refused
      ? [
          `Its own files are not shown to be as new as what ${refused.address} holds, which would copy them: it is not started from them.`,
        ]
      : []),
    ...(proven
      ? [
          `The newest proven backup is of ${timeWords(proven.time)}, with ${keyCount(proven.keys)}.${proven.flagged ? ` It is flagged: ${proven.flagged}` : ''}`,
        ]
      : ['There is no proven backup.']),
    ...(facts.archive ? [`Its archive goes up to ${timeWords(facts.archive.endAt)}.`] : []),
  ];
}

function sentinelFindings({ survey: { sentinels, primary } }: CrashFacts): string[] {
  if (!sentinels) return [];
  const { answers, silent, promoted, willPromote } = sentinels;
  if (answers.length === 0) return [`None of the ${silent.length} Sentinels answered.`];
  const named = new Set(answers.map((answer) => answer.primary));
  return [
    promoted
      ? `The Sentinels name ${sentinels.primary} as the primary, not ${primary}.`
      : `The Sentinels still name ${primary} as the primary${willPromote ? ', hold it for down and will promote a replica' : ''}.`,
    ...(named.size > 1 ? ['They do not agree; the one with the latest failover is believed.'] : []),
    ...(silent.length > 0 ? [`${silent.length} of ${silent.length + answers.length} Sentinels did not answer.`] : []),
  ];
}
