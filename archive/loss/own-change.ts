import { randomUUID } from 'node:crypto';
import type { InstanceContext } from '../../backup/instance-context.ts';
import type { Repository } from '../../repository/repository.ts';
import { archiveDirectory } from '../layout.ts';
import type { TimelineRecord } from '../records.ts';

/** Why a timeline begins, where the product, or a person by a command of it, is the reason. */
export type OwnChange = Extract<TimelineRecord['why'], 'restore' | 'undo' | 'adopted'>;

interface ChangeNoted {
  readonly what: OwnChange;
  readonly id: string;
  readonly begunMs: number;
  /** Absent while it goes on, or where whoever did it was killed. */
  readonly endedMs?: number;
}

/** What it did may show somewhat later: the next look, the load of a file. */
const showsForMs = 30_000;
/** A change that was begun and has not said that it ended: whoever did it may be at it still, or be dead. */
const longestMs = 6 * 3_600_000;

const directoryOf = (instance: string): string => `${archiveDirectory(instance)}changes/`;
const nameOf = /^(\d{13})-(restore|undo|adopted)-([0-9a-f-]{36})\.(begun|ended)$/;

/**
 * Does what changes the data of an instance wholly (a stream as primary, files put in place, a swap back) and says in the
 * repository when, so that nobody takes it for a loss, and the timeline that it begins says what it is. Where the
 * repository does not take the note it is done all the same.
 */
export async function asOwnChange<T>(
  { repository, policy }: Pick<InstanceContext, 'repository' | 'policy'>,
  what: OwnChange,
  change: () => Promise<T>,
): Promise<T> {
  if (!policy.archive) return change();
  const id = randomUUID();
  await note(repository, policy.instance, what, id, 'begun');
  try {
    return await change();
  } finally {
    await note(repository, policy.instance, what, id, 'ended');
  }
}

async function note(
  repository: Repository,
  instance: string,
  what: OwnChange,
  id: string,
  state: 'begun' | 'ended',
): Promise<void> {
  const key = `${directoryOf(instance)}${String(Date.now()).padStart(13, '0')}-${what}-${id}.${state}`;
  await repository.putSmall(key, Buffer.from('{}\n')).catch(() => undefined);
}

/** The change by the product that was going on at a moment, or that shows in it. @throws those of the store */
export async function ownChangeAt(
  repository: Repository,
  instance: string,
  atMs: number,
): Promise<OwnChange | undefined> {
  return (await changes(repository, instance)).find(
    ({ begunMs, endedMs = begunMs + longestMs }) => begunMs - 1_000 <= atMs && atMs <= endedMs + showsForMs,
  )?.what;
}

/** The newest change by the product that was not over at a moment. @throws those of the store */
export async function ownChangeSince(
  repository: Repository,
  instance: string,
  sinceMs: number,
): Promise<OwnChange | undefined> {
  return (await changes(repository, instance)).findLast(
    ({ begunMs, endedMs = begunMs + longestMs }) => endedMs >= sinceMs,
  )?.what;
}

async function changes(repository: Repository, instance: string): Promise<ChangeNoted[]> {
  const directory = directoryOf(instance);
  const found = new Map<string, ChangeNoted>();
  for await (const { key } of repository.list(directory)) {
    const [, ms, what, id, state] = nameOf.exec(key.slice(directory.length)) ?? [];
    if (id === undefined) continue;
    const known = found.get(id) ?? { what: what as OwnChange, id, begunMs: Number(ms) };
    found.set(id, state === 'ended' ? { ...known, endedMs: Number(ms) } : known);
  }
  return [...found.values()].sort((a, b) => a.begunMs - b.begunMs);
}
