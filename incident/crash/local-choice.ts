import type { CrashChoice } from './choice.ts';
import { compareLocal, newestProven } from './compare-local.ts';
import { followersOfPrimary, type ServerCopy } from './copies.ts';
import type { CrashFacts } from './facts.ts';
import type { LocalFiles } from './local-files.ts';
import { lossOf } from './loss-of.ts';
import { keyCount } from './words.ts';

/** To start it from its own files, where that harms nobody; empty where there is no such choice. */
export function startLocal(facts: CrashFacts): CrashChoice[] {
  const { local, backups } = facts;
  if (!local) return [];
  const verdict = compareLocal(local, backups, facts.flagBelow);
  if (verdict.state === 'damaged' || verdict.state === 'not-known') return [];
  const followers = followersOfPrimary(facts.survey).filter(({ keys }) => keys > 0);
  if (local.loads === 'nothing' || local.loads === 'aof-missing') {
    const elsewhere = newestProven(backups) ?? facts.archive;
    const nothingElse = elsewhere === undefined && followers.length === 0;
    // Started empty, an AOF whose manifest is missing would be lost for good, and replicas with it.
    if (!nothingElse || local.loads === 'aof-missing' || local.dump.state !== 'missing') return [];
    return [
      {
        id: 'start-empty',
        kind: 'start-empty',
        text: 'Start it empty.',
        loses: 'Everything: there is no file, no replica, no backup and no archive.',
        keys: 0,
      },
    ];
  }
  // What is worse than a backup is nothing that replicas may be made to copy.
  if (followers.length > 0 && verdict.state !== 'good') return [];
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
