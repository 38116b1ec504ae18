import { whyNotLoadable } from './as-primary/loadable-dump.ts';
import { hasModule } from './module-of-type.ts';
import type { RestorePoint } from './restore-point.ts';
import { intoText, isPartial, type RestoreRequest } from './restore-request.ts';
import type { StagedFacts } from './staged-facts.ts';
import type { TargetFacts } from './target-facts.ts';

/** How the data gets where it is wanted. */
export type RestoreWay = 'slices' | 'commands' | 'as-primary' | 'files' | 'sandbox';

/** What a restore would do, before it does anything: shown to a person, bound to an approval by its digest. */
export interface RestorePlan {
  readonly way: RestoreWay;
  /** Why this way and no other: a sentence. */
  readonly why: string;
  readonly into: string;
  readonly backup: Pick<RestorePoint, 'id' | 'time' | 'state' | 'flagged' | 'keys' | 'sizeBytes'>;
  /** Keys of the backup that were asked for, and of these those whose time has passed. */
  readonly selected: { readonly keys: number; readonly expired: number };
  /** Keys that are live now, in the databases that are meant. */
  readonly liveKeys: number;
  /** True where something that is live now may be changed or go: it needs a safety copy and a person. */
  readonly destructive: boolean;
  /** What will be lost, in words; empty where nothing is. */
  readonly loses: readonly string[];
  /** About how long, from measured rates. */
  readonly seconds: number;
  /** Sentences for a person. */
  readonly tells: readonly string[];
  /** Why it cannot be done like that; nothing is touched while there is one. */
  readonly refusals: readonly string[];
}

/**
 * Keys and bytes a second of each way, as measured on two shared cores (docs/PERFORMANCE.md), on the careful side: an
 * estimate that is kept is worth more than one that impresses.
 */
const RATES = {
  slices: { keys: 200_000, bytes: 80e6 },
  commands: { keys: 60_000, bytes: 40e6 },
  'as-primary': { keys: 400_000, bytes: 100e6 },
  files: { keys: Number.POSITIVE_INFINITY, bytes: 200e6 },
  sandbox: { keys: 500_000, bytes: 120e6 },
} as const satisfies Record<RestoreWay, { keys: number; bytes: number }>;

/** Memory that data takes in a server that it is put into key by key, to what it took where it was saved: measured 1.0–1.1. */
const MEMORY_FACTOR = 1.15;

export interface PlanInputs {
  readonly request: RestoreRequest;
  readonly point: RestorePoint;
  /** What was found in the dump itself; absent before it was fetched. */
  readonly staged?: StagedFacts;
  /** Absent where there is no server yet: a folder, a sandbox. */
  readonly target?: TargetFacts;
}

/** Decides how a restore is done, or why it is not. Pure: the same inputs give the same plan, and the same digest. */
export function planRestore(inputs: PlanInputs): RestorePlan {
  const { request, point, staged, target } = inputs;
  const { way, why } = chooseWay(inputs);
  const selected = staged?.selected ?? { keys: point.keys, expired: 0 };
  const liveKeys = target ? liveKeysOf(target, request.selection.db) : 0;
  const tells: string[] = [...point.passedOver];
  if (point.flagged) tells.push(`${point.id} is flagged: ${point.flagged}`);
  if (point.state === 'unproven') tells.push(`${point.id} was never proven; it was chosen by its id.`);
  if (selected.expired > 0 && request.ttl === 'keep') {
    tells.push(
      `${selected.expired} keys have expired since they were saved and stay away (--ttl shift brings them back).`,
    );
  }
  if (request.ttl !== 'keep' && way !== 'slices' && way !== 'commands') {
    tells.push(
      `--ttl ${request.ttl} does nothing here: the dump is loaded as it stands, and every key keeps the time that it had.`,
    );
  }
  const fieldsKeep = way === 'slices' && request.ttl !== 'keep' ? (staged?.hashesWithFieldExpiries ?? 0) : 0;
  if (fieldsKeep > 0) {
    tells.push(
      `${fieldsKeep} hashes have fields that expire by themselves: --ttl ${request.ttl} is for keys, these fields keep the times that they had, and those that have passed stay away.`,
    );
  }
  if (target?.aof && way === 'slices') tells.push('The append-only file is rewritten once at the end.');
  const loses = lossesOf(inputs, way, liveKeys);
  return {
    way,
    why,
    into: intoText(request.into),
    backup: {
      id: point.id,
      time: point.time,
      state: point.state,
      ...(point.flagged === undefined ? {} : { flagged: point.flagged }),
      keys: point.keys,
      sizeBytes: point.sizeBytes,
    },
    selected,
    liveKeys,
    destructive: loses.length > 0,
    loses,
    seconds: secondsOf(way, selected.keys, point),
    tells,
    refusals: refusalsOf(inputs, way),
  };
}

function chooseWay({ request, point, staged, target }: PlanInputs): { way: RestoreWay; why: string } {
  if (request.into.kind === 'dir') {
    return { way: 'files', why: 'a folder was asked for: its files are ready for a plain redis-server to start from' };
  }
  if (request.into.kind === 'sandbox') {
    return { way: 'sandbox', why: 'a sandbox was asked for: a server of our own loads the dump and stays up' };
  }
  const foreign = target && whyNotLoadable(point.rdb, target.server);
  if (foreign) {
    return {
      way: 'commands',
      why: `keys are sent as commands from their decoded values, at a slower rate, because ${foreign}`,
    };
  }
  if (request.onConflict === 'replace-all' && !isPartial(request)) {
    return {
      way: 'as-primary',
      why: 'the whole dataset is replaced: the dump is streamed as a primary streams it, and the old data stays until the new is loaded',
    };
  }
  const tooBig = target && staged && staged.largestValueBytes > target.protoMaxBulkLenBytes;
  if (staged && staged.undecodable.length > 0 && !isPartial(request) && target?.keys === 0) {
    return { way: 'as-primary', why: 'the dump holds values that cannot be sliced out, and the target is empty' };
  }
  if (tooBig && !isPartial(request) && target?.keys === 0) {
    return { way: 'as-primary', why: 'a value is longer than the target takes in a command, and the target is empty' };
  }
  return {
    way: 'slices',
    why: 'each key’s bytes are taken out of the dump as they are and put beside what is live',
  };
}

function refusalsOf(inputs: PlanInputs, way: RestoreWay): string[] {
  const { request, point, staged, target } = inputs;
  if (!target) return [];
  const { mode, role, failover } = target;
  const refusals: (string | false | undefined)[] = [
    mode === 'cluster' && `${target.address} is a node of a Redis Cluster: it holds a part of the keys only.`,
    mode === 'sentinel' && `${target.address} is a Sentinel, not a Redis with data.`,
    role === 'replica' && `${target.address} is a replica of ${target.primary}: restore into its primary.`,
    failover !== 'no-failover' && `A failover is running at ${target.address} (${failover}).`,
    target.loading && `${target.address} is still loading its data.`,
    request.into.kind === 'live' &&
      target.identity === 'refuse' &&
      `${target.address} is not the ${request.instance} whose backups these are; after you have looked: rewind adopt ${request.instance}`,
    ...memoryRefusals(inputs, way),
    ...(way === 'commands' ? (staged?.cannotSay ?? []) : []),
  ];
  if (way === 'slices' || way === 'as-primary') {
    const missing = point.modules.filter((type) => !hasModule(target.modules, type));
    if (missing.length > 0) refusals.push(`The target has not loaded the modules of the dump: ${missing.join(', ')}.`);
    const highest = Math.max(0, ...Object.keys(point.keysByDatabase).map(Number));
    if (target.databases !== undefined && highest >= target.databases && request.selection.db === undefined) {
      refusals.push(`The dump has keys in database ${highest}; the target has ${target.databases} databases.`);
    }
  }
  if (way === 'slices' && staged && staged.largestValueBytes > target.protoMaxBulkLenBytes) {
    refusals.push(
      `A value of ${staged.largestValueBytes} bytes (at byte ${staged.largestKeyOffset} of the dump) is over the target's proto-max-bulk-len of ${target.protoMaxBulkLenBytes}: raise it, or replace the whole dataset (onConflict: replace-all).`,
    );
  }
  if (way === 'slices' && staged && staged.undecodable.length > 0) {
    refusals.push(
      `The dump holds values of a type that cannot be sliced out (${staged.undecodable.join(', ')}): replace the whole dataset (onConflict: replace-all), or restore into a folder.`,
    );
  }
  return refusals.filter((refusal): refusal is string => typeof refusal === 'string');
}

function memoryRefusals({ point, staged, target, request }: PlanInputs, way: RestoreWay): string[] {
  if (!target || !staged || staged.usedMemoryBytes === 0 || point.keys === 0) return [];
  const share = Math.min(1, staged.selected.keys / point.keys);
  const needed = Math.round(staged.usedMemoryBytes * share * MEMORY_FACTOR);
  const replaces = request.onConflict === 'replace-all';
  const found: string[] = [];
  const after = needed + (replaces && way === 'as-primary' ? 0 : target.usedMemoryBytes);
  if (target.maxMemoryBytes > 0 && after > target.maxMemoryBytes) {
    found.push(
      `About ${after} bytes of memory would be used, the target's maxmemory is ${target.maxMemoryBytes}: raise it, or select fewer keys.`,
    );
  }
  if (target.freeMemoryBytes !== undefined && needed > target.freeMemoryBytes) {
    found.push(`About ${needed} bytes of memory are needed, the target's machine has ${target.freeMemoryBytes} left.`);
  }
  return found;
}

function lossesOf({ request, target }: PlanInputs, way: RestoreWay, liveKeys: number): string[] {
  if (!target || liveKeys === 0) return [];
  if (way === 'as-primary') return [`all ${target.keys} keys that are live now go, written since the backup or not`];
  if (request.onConflict === 'take-backup') {
    return [`of the ${liveKeys} live keys those that are in the backup, too, become what they were then`];
  }
  if (request.onConflict === 'replace-all') return [`all ${liveKeys} keys that are live now in what is selected go`];
  return [];
}

function liveKeysOf(target: TargetFacts, db: number | undefined): number {
  return db === undefined ? target.keys : (target.keysByDatabase[String(db)] ?? 0);
}

function secondsOf(way: RestoreWay, keys: number, point: RestorePoint): number {
  const rate = RATES[way];
  const share = point.keys === 0 ? 0 : Math.min(1, keys / point.keys);
  return Math.max(1, Math.ceil(Math.max(keys / rate.keys, (point.sizeBytes * share) / rate.bytes)));
}
