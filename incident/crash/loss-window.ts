import type { CrashChoice } from './choice.ts';
import type { CrashFacts } from './facts.ts';
import { timeOfDeath } from './time-of-death.ts';
import { durationWords, timeWords } from './words.ts';

/** What is lost by a choice, as two times, and what could not be known. */
export interface LossWindow {
  /** The last moment whose writes are all known to be there, ISO 8601. */
  readonly from?: string;
  /** When the server died, or was last seen alive. */
  readonly to?: string;
  readonly sentence: string;
  readonly unknown: readonly string[];
}

/** A link that falls silent is seen as down only after `repl-timeout` (60 s by default). */
const SILENCE_SECONDS = 60;

/** The window of loss of one choice: of writes in it nobody can say that they are there. */
export function lossWindow(facts: CrashFacts, choice: CrashChoice | undefined): LossWindow {
  const death = timeOfDeath(facts);
  const from = choice?.safeUntil;
  const unknown = unknownsOf(facts, choice);
  if (!choice)
    return {
      ...(death ? { to: death.at } : {}),
      sentence: 'Nothing is chosen yet, so no loss can be stated.',
      unknown,
    };
  if (choice.losesNothingKnown) {
    return {
      ...(death ? { from: death.at, to: death.at } : {}),
      sentence: `No write that was acknowledged is known to be lost${death ? ` (it died ${death.exact ? 'at' : 'at or after'} ${timeWords(death.at)})` : ''}.`,
      unknown,
    };
  }
  if (!from) {
    return {
      ...(death ? { to: death.at } : {}),
      sentence: `Up to when the writes are there is not known${death ? `; it ${death.exact ? 'died' : 'was last seen alive'} at ${timeWords(death.at)} (${death.source})` : ''}.`,
      unknown,
    };
  }
  if (!death) {
    return {
      from: from.at,
      sentence: `All writes up to ${timeWords(from.at)} are there (${from.source}); when it died is not known.`,
      unknown,
    };
  }
  const seconds = Math.max(0, (Date.parse(death.at) - Date.parse(from.at)) / 1000);
  if (seconds < 1 && !death.exact) {
    return {
      from: from.at,
      to: death.at,
      sentence: `Writes after ${timeWords(from.at)} (${from.source}) may be lost; nothing shows how long it lived after that.`,
      unknown,
    };
  }
  return {
    from: from.at,
    to: death.at,
    sentence: `Writes between ${timeWords(from.at)} (${from.source}) and ${timeWords(death.at)} (${death.source}) may be lost: ${durationWords(seconds)}${death.exact ? '' : ' or more'}.`,
    unknown,
  };
}

function unknownsOf({ survey, local, death }: CrashFacts, choice: CrashChoice | undefined): string[] {
  const exact = death?.diedAt !== undefined;
  const silence = survey.servers.some(({ follows }) => follows?.downForSeconds !== undefined);
  const fromReplica = choice?.kind === 'promote' || choice?.kind === 'dump-from' || choice?.kind === 'replica-of';
  const rebooted =
    choice?.kind === 'start-local' &&
    local?.aof?.lastWriteAt !== undefined &&
    local.machineUpSince > local.aof.lastWriteAt;
  return [
    ...(exact ? [] : ['the moment of death: it was seen alive, not seen dying']),
    ...(!exact && silence
      ? [
          `how long its links were silent before they were seen as down: up to ${SILENCE_SECONDS} s where the machine or the network went, not the process`,
        ]
      : []),
    ...(fromReplica
      ? ['which of the last writes were acknowledged to clients and not yet sent: replication is asynchronous']
      : []),
    ...(fromReplica && choice?.safeUntil === undefined && choice?.kind !== 'replica-of'
      ? ['how old its data is: it was restarted and has not been in sync since']
      : []),
    ...(rebooted && local?.settings.appendfsync !== 'always'
      ? [`which writes had reached the disk when the machine went down (appendfsync ${local?.settings.appendfsync})`]
      : []),
    ...(choice?.kind === 'start-local' && local?.loads === 'aof'
      ? ['whether the append-only file is whole to its end: its commands were not replayed']
      : []),
  ];
}
