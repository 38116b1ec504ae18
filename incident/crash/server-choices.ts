import type { CrashChoice } from './choice.ts';
import { followersOfPrimary, primaryItself, type ServerCopy } from './copies.ts';
import type { CrashFacts } from './facts.ts';
import { lossOf } from './loss-of.ts';
import { durationWords, keyCount, timeWords } from './words.ts';

export function leaveRunning({ address, role, keys }: ServerCopy): CrashChoice {
  return {
    id: 'leave-running',
    kind: 'leave-running',
    target: address,
    text: `Leave ${address} as it is: it answers as a ${role} with ${keyCount(keys)}.`,
    loses: 'Nothing that it holds.',
    keys,
  };
}

export function promote(facts: CrashFacts, copy: ServerCopy): CrashChoice {
  const { sentinels } = facts.survey;
  const bySentinel = (sentinels?.answers.length ?? 0) > 0;
  const what = `${keyCount(copy.keys)}, ${ageWords(copy)}`;
  const how = bySentinel
    ? `Have the Sentinels fail over; they choose the replica, ${copy.address} (${what}) is one of them`
    : `Promote the replica ${copy.address} (${what})`;
  const others = followersOfPrimary(facts.survey).filter(({ address }) => address !== copy.address);
  // Left at the node, they would copy what it starts with.
  const taken = others.length > 0 ? `, let ${others.map(({ address }) => address).join(', ')} follow it` : '';
  const then = `${taken}${facts.hostLost ? '.' : ', then start the crashed node as its replica.'}`;
  const undone = sentinels && !bySentinel ? ' No Sentinel answers: they may undo it when they are back.' : '';
  return {
    id: `promote:${copy.address}`,
    kind: 'promote',
    target: copy.address,
    text: `${how}${then}${undone}`,
    ...ofReplica(facts, copy),
  };
}

export function dumpFrom(facts: CrashFacts, copy: ServerCopy): CrashChoice {
  return {
    id: `dump-from:${copy.address}`,
    kind: 'dump-from',
    target: copy.address,
    text: `Take a dump from the replica ${copy.address} (${keyCount(copy.keys)}, ${ageWords(copy)}) and start the crashed node from it as the primary. A replica that has lost its primary sends nothing: it follows nobody meanwhile, must not be written to, and follows the node again afterwards.`,
    // Cut off from its primary it answers NOMASTERLINK to whoever asks for its data.
    ...(copy.follows ? { detachFirst: [copy.address], followAgain: copy.follows.address } : {}),
    ...ofReplica(facts, copy),
  };
}

export function replicaOf(facts: CrashFacts, copy: ServerCopy): CrashChoice {
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

function ageWords({ ageSeconds, follows }: ServerCopy): string {
  if (ageSeconds === undefined) return 'of unknown age';
  if (follows && !follows.up) return `alone for ${durationWords(ageSeconds)}`;
  return `heard of its primary ${durationWords(ageSeconds)} ago`;
}
