import type { BackupEntry } from '../../repository/catalogue.ts';
import { compareLocal, newestProven } from './compare-local.ts';
import { type CopiesSurvey, followersOfPrimary, otherPrimaries, primaryItself, type ServerCopy } from './copies.ts';
import type { CrashFacts, Moment } from './facts.ts';
import type { LocalFiles } from './local-files.ts';
import { timeOfDeath } from './time-of-death.ts';
import { durationWords, keyCount, timeWords } from './words.ts';

export type ChoiceKind =
  | 'promote'
  | 'replica-of'
  | 'dump-from'
  | 'start-local'
  | 'start-empty'
  | 'backup'
  | 'other-instance'
  | 'look-again'
  | 'leave-running';

/** One way on, as a gate shows it. */
export interface CrashChoice {
  /** `promote:10.0.0.6:6379`, `backup:20261124T…`, `start-local`. */
  readonly id: string;
  readonly kind: ChoiceKind;
  /** Address, backup or instance. */
  readonly target?: string;
  readonly text: string;
  /** What is gone when it is taken, as a sentence. */
  readonly loses: string;
  readonly losesSeconds?: number;
  /** Keys that are there afterwards, as far as they are counted. */
  readonly keys?: number;
  /** Up to when all writes are in it. */
  readonly safeUntil?: Moment;
  /** Every acknowledged write is in it, as far as can be known. */
  readonly losesNothingKnown?: boolean;
  /** Replicas that follow the node: they have to be taken off it first, or they copy what it starts with. */
  readonly detachFirst?: readonly string[];
}

/** Backups that a gate offers: the newest, and one to fall back on. */
const BACKUPS = 2;
/** Replicas that a gate offers. */
const REPLICAS = 4;

/** Other servers that act as the primary and matter: with data, with replicas, or named by the Sentinels. */
export function promotedPrimaries(survey: CopiesSurvey): ServerCopy[] {
  return otherPrimaries(survey).filter(
    ({ keys, replicas, address, replication }) =>
      keys > 0 || replicas.length > 0 || replication.previousId !== undefined || address === survey.sentinels?.primary,
  );
}

/** Replicas with whole data, the best first: by offset where they share a history, then by age, then by keys. */
export function replicasWithData({ survey }: CrashFacts): ServerCopy[] {
  return survey.servers
    .filter(
      ({ role, keys, follows, mode }) =>
        role === 'replica' && mode === 'standalone' && keys > 0 && !follows?.synchronizing,
    )
    .sort(fresherFirst);
}

function fresherFirst(a: ServerCopy, b: ServerCopy): number {
  if (a.replication.id === b.replication.id && a.replication.offset !== b.replication.offset) {
    return b.replication.offset - a.replication.offset;
  }
  const age = (copy: ServerCopy) => copy.ageSeconds ?? Number.MAX_SAFE_INTEGER;
  return age(a) - age(b) || b.keys - a.keys || (a.address < b.address ? -1 : 1);
}

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

function leaveRunning({ address, role, keys }: ServerCopy): CrashChoice {
  return {
    id: 'leave-running',
    kind: 'leave-running',
    target: address,
    text: `Leave ${address} as it is: it answers as a ${role} with ${keyCount(keys)}.`,
    loses: 'Nothing that it holds.',
    keys,
  };
}

function promote(facts: CrashFacts, copy: ServerCopy): CrashChoice {
  const { sentinels } = facts.survey;
  const bySentinel = (sentinels?.answers.length ?? 0) > 0;
  const what = `${keyCount(copy.keys)}, ${ageWords(copy)}`;
  const how = bySentinel
    ? `Have the Sentinels fail over; they choose the replica, ${copy.address} (${what}) is one of them`
    : `Promote the replica ${copy.address} (${what})`;
  const then = facts.hostLost ? '.' : ', then start the crashed node as its replica.';
  const undone = sentinels && !bySentinel ? ' No Sentinel answers: they may undo it when they are back.' : '';
  return {
    id: `promote:${copy.address}`,
    kind: 'promote',
    target: copy.address,
    text: `${how}${then}${undone}`,
    ...ofReplica(facts, copy),
  };
}

function dumpFrom(facts: CrashFacts, copy: ServerCopy): CrashChoice {
  return {
    id: `dump-from:${copy.address}`,
    kind: 'dump-from',
    target: copy.address,
    text: `Take a dump from the replica ${copy.address} (${keyCount(copy.keys)}, ${ageWords(copy)}) and start the crashed node from it as the primary.`,
    ...ofReplica(facts, copy),
  };
}

function replicaOf(facts: CrashFacts, copy: ServerCopy): CrashChoice {
  const running = primaryItself(facts.survey);
  const local = facts.local?.holdsUntil;
  const only = running
    ? `What only ${running.address} has (${keyCount(running.keys)} in all), with every write since it came back`
    : `What only the crashed node had${local ? ` (its own files go up to ${timeWords(local.at)})` : ''}`;
  return {
    id: `replica-of:${copy.address}`,
    kind: 'replica-of',
    target: copy.address,
    text: `${copy.address} is the primary now (${keyCount(copy.keys)}): ${running ? `make ${running.address}` : 'start the crashed node as'} its replica.`,
    loses: `${only}: it is replaced by the data of ${copy.address}.`,
    keys: copy.keys,
  };
}

function ofReplica(
  facts: CrashFacts,
  copy: ServerCopy,
): Pick<CrashChoice, 'loses' | 'losesSeconds' | 'keys' | 'safeUntil'> {
  const safeUntil = copy.dataAsOf
    ? { at: copy.dataAsOf, source: `what ${copy.address} last heard of the primary` }
    : undefined;
  const behind = copy.behindBytes ? `, and ${copy.behindBytes} bytes that another server has` : '';
  return {
    ...lossOf(facts, safeUntil, `${copy.address} had not yet received${behind}`),
    keys: copy.keys,
    ...(safeUntil ? { safeUntil } : {}),
  };
}

function startLocal(facts: CrashFacts): CrashChoice[] {
  const { local, backups } = facts;
  if (!local) return [];
  const verdict = compareLocal(local, backups, facts.flagBelow);
  if (verdict.state === 'damaged' || verdict.state === 'not-known') return [];
  const followers = followersOfPrimary(facts.survey).filter(({ keys }) => keys > 0);
  if (local.loads === 'nothing' || local.loads === 'aof-missing') {
    const nothingElse = newestProven(backups) === undefined && followers.length === 0;
    // Started empty, an AOF whose manifest is missing would be lost for good, and replicas with it.
    if (!nothingElse || local.loads === 'aof-missing' || local.dump.state !== 'missing') return [];
    return [
      {
        id: 'start-empty',
        kind: 'start-empty',
        text: 'Start it empty.',
        loses: 'Everything: there is no file, no replica and no backup.',
        keys: 0,
      },
    ];
  }
  if (followers.some((follower) => isOlder(local, follower))) return [];
  const losesNothingKnown = local.loads === 'aof' && holdsAll(local);
  const loss = losesNothingKnown
    ? { loses: 'No write that was acknowledged, as far as the append-only file is whole.', losesSeconds: 0 }
    : lossOf(facts, local.holdsUntil, 'were in memory only');
  const keys = local.loads === 'dump' ? local.dump.keys : undefined;
  return [
    {
      id: 'start-local',
      kind: 'start-local',
      text: `Start it from its own ${local.loads === 'aof' ? 'append-only file' : `${local.settings.dbfilename}${keys === undefined ? '' : ` (${keyCount(keys)})`}`}.`,
      ...loss,
      ...(keys === undefined ? {} : { keys }),
      ...(local.holdsUntil ? { safeUntil: local.holdsUntil } : {}),
      ...(losesNothingKnown ? { losesNothingKnown } : {}),
    },
  ];
}

/**
 * Redis writes to the AOF before it answers: as long as the machine stayed up, every acknowledged write is in the file,
 * whenever the last one was.
 */
function holdsAll({ aof, machineUpSince, settings }: LocalFiles): boolean {
  return settings.appendfsync === 'always' || (aof?.lastWriteAt !== undefined && machineUpSince <= aof.lastWriteAt);
}

/** True unless it is shown that the local file holds at least what this replica holds. */
export function isOlder(local: LocalFiles, replica: ServerCopy): boolean {
  if (local.loads === 'aof') {
    if (holdsAll(local)) return false;
  } else if (local.loads !== 'dump' || local.dump.keys === 0) {
    return true;
  } else if (local.dump.replication?.id === replica.replication.id) {
    return local.dump.replication.offset < replica.replication.offset;
  }
  if (local.holdsUntil === undefined || replica.dataAsOf === undefined) return true;
  return Date.parse(local.holdsUntil.at) < Date.parse(replica.dataAsOf);
}

function backupChoices(facts: CrashFacts): CrashChoice[] {
  const proven = facts.backups.filter(({ state }) => state === 'verified').sort((a, b) => (a.time < b.time ? 1 : -1));
  const best = newestProven(facts.backups);
  const offered = [...new Set([best, ...proven])].filter((each) => each !== undefined).slice(0, BACKUPS);
  const followers = followersOfPrimary(facts.survey).map(({ address }) => address);
  if (facts.hostLost) {
    return best ? (facts.otherInstances ?? []).map((name) => ofBackup(facts, best, 'other-instance', name)) : [];
  }
  return offered.map((backup) => {
    const choice = ofBackup(facts, backup, 'backup', backup.id);
    if (followers.length === 0) return choice;
    const again = facts.survey.sentinels ? ', until the Sentinels make them follow again' : '';
    const text = `${choice.text} Before that ${followers.join(', ')} ${followers.length === 1 ? 'is' : 'are'} taken off it and ${followers.length === 1 ? 'keeps' : 'keep'} the data${again}.`;
    return { ...choice, text, detachFirst: followers };
  });
}

function ofBackup(
  facts: CrashFacts,
  backup: BackupEntry,
  kind: 'backup' | 'other-instance',
  target: string,
): CrashChoice {
  const safeUntil = { at: backup.time, source: `the begin of the backup ${backup.id}` };
  const flagged = backup.flagged ? ` It is flagged: ${backup.flagged}` : '';
  const what = `the backup of ${timeWords(backup.time)} (${keyCount(backup.keys)}, proven)`;
  return {
    id: `${kind}:${target}`,
    kind,
    target,
    text:
      kind === 'backup'
        ? `Start it from ${what}.${flagged}`
        : `The host is gone: restore ${what} into ${target}.${flagged}`,
    ...lossOf(facts, safeUntil, 'came after that backup'),
    keys: backup.keys,
    safeUntil,
  };
}

function lossOf(
  facts: CrashFacts,
  safeUntil: Moment | undefined,
  which: string,
): Pick<CrashChoice, 'loses' | 'losesSeconds'> {
  const death = timeOfDeath(facts);
  if (!safeUntil)
    return { loses: `An unknown span of writes: those that ${which}; how old this copy is cannot be known.` };
  if (!death)
    return { loses: `The writes after ${timeWords(safeUntil.at)} that ${which}; when the node died is not known.` };
  const losesSeconds = Math.max(0, Math.round((Date.parse(death.at) - Date.parse(safeUntil.at)) / 1000));
  const span =
    losesSeconds === 0 ? 'less than a second' : `${durationWords(losesSeconds)}${death.exact ? '' : ' or more'}`;
  return { loses: `Writes of ${span} before its death that ${which}.`, losesSeconds };
}

function ageWords({ ageSeconds, follows }: ServerCopy): string {
  if (ageSeconds === undefined) return 'of unknown age';
  if (follows && !follows.up) return `alone for ${durationWords(ageSeconds)}`;
  return `heard of its primary ${durationWords(ageSeconds)} ago`;
}
