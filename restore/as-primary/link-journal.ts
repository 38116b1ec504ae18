import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { addressOf, type RedisTarget } from '../../redis/connection.ts';
import { readInfo } from '../../redis/info.ts';
import { journalName, readJournal, removeJournal } from '../journal.ts';
import { putSettings, type Settings } from '../live-settings.ts';

/** What a target was before it became our replica for a while. */
export interface LinkJournal {
  readonly formatVersion: 1;
  readonly address: string;
  /** Of the process that was changed: settings made live are gone in another one. */
  readonly runId: string;
  /** Where the target was told to replicate from: 127.0.0.1 and this port. */
  readonly port: number;
  /** Holds what `masterauth` was: the file is for this user only. */
  readonly settings: Settings;
  readonly replicationId: string;
  readonly startedAt: string;
}

export const linkJournalPath = (home: string, target: Pick<RedisTarget, 'url'>): string =>
  join(home, 'restores', journalName('as-primary', addressOf(target)));

/** What undoing found. */
export type Undone = 'nothing-to-undo' | 'undone' | 'server-was-restarted';

/**
 * Makes a target that was left as our replica a primary again, with exactly the settings that it had. May be called at any
 * time, and again: the journal goes last.
 */
export async function undoLink(redis: Redis, path: string): Promise<Undone> {
  const journal = await readJournal<LinkJournal>(path);
  if (journal === undefined) return 'nothing-to-undo';
  const info = { ...(await readInfo(redis, 'server')), ...(await readInfo(redis, 'replication')) };
  const isOurReplica =
    info.role === 'slave' && info.master_host === '127.0.0.1' && info.master_port === String(journal.port);
  if (isOurReplica) await redis.call('REPLICAOF', 'NO', 'ONE');
  const sameProcess = info.run_id === journal.runId;
  // A restarted server has read its settings from its own file again.
  if (sameProcess) await putSettings(redis, journal.settings);
  await removeJournal(path);
  return sameProcess ? 'undone' : 'server-was-restarted';
}
