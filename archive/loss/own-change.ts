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
  /** When it was said the last time that it goes on. */
  readonly saidMs: number;
  /** Absent while it goes on, or where whoever did it was killed. */
  readonly endedMs?: number;
  /** Of its notes. */
  readonly keys: readonly string[];
}

/** What it did may show somewhat later: the next look, the load of a file. */
const showsForMs = 30_000;
/** While it goes on that is said so often, in ms … */
const saidEveryMs = 5 * 60_000;
/** … and who has not said it for so long is dead, or has no store: from then on a loss is a loss. */
const silentMs = 3 * saidEveryMs;

const directoryOf = (instance: string): string => `${archiveDirectory(instance)}changes/`;
const nameOf = /^(\d{13})-(restore|undo|adopted)-([0-9a-f-]{36})\.(begun|ended)$/;

/**
 * Does what changes the data of an instance wholly (a stream as primary, files put in place, a swap back) and says in the
 * repository when, and again while it goes on, so that nobody takes it for a loss, and the timeline that it begins says what
 * it is. Where the repository does not take the note it is done all the same.
 */
export async function asOwnChange<T>(
  { repository, policy }: Pick<InstanceContext, 'repository' | 'policy'>,
  what: OwnChange,
  change: () => Promise<T>,
  everyMs = saidEveryMs,
): Promise<T> {
  if (!policy.archive) return change();
  const id = randomUUID();
  await note(repository, policy.instance, what, id, 'begun');
  const goingOn = setInterval(() => void note(repository, policy.instance, what, id, 'begun'), everyMs);
  goingOn.unref();
  try {
    return await change();
  } finally {
    clearInterval(goingOn);
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
    (change) => change.begunMs - 1_000 <= atMs && atMs <= overAtMs(change) + showsForMs,
  )?.what;
}

/** The newest change by the product that was not over at a moment. @throws those of the store */
export async function ownChangeSince(
  repository: Repository,
  instance: string,
  sinceMs: number,
): Promise<OwnChange | undefined> {
  return (await changes(repository, instance)).findLast((change) => overAtMs(change) >= sinceMs)?.what;
}

/** Removes the notes of changes that were over before a moment. @returns how many changes @throws those of the store */
export async function removeOwnChanges(repository: Repository, instance: string, beforeMs: number): Promise<number> {
  const over = (await changes(repository, instance)).filter((change) => overAtMs(change) + showsForMs < beforeMs);
  for (const { keys } of over) for (const key of keys) await repository.remove(key);
  return over.length;
}

const overAtMs = ({ saidMs, endedMs = saidMs + silentMs }: ChangeNoted): number => endedMs;

async function changes(repository: Repository, instance: string): Promise<ChangeNoted[]> {
  const directory = directoryOf(instance);
  const found = new Map<string, ChangeNoted>();
  for await (const { key } of repository.list(directory)) {
    const [, ms, what, id, state] = nameOf.exec(key.slice(directory.length)) ?? [];
    if (id === undefined) continue;
    const atMs = Number(ms);
    const known = found.get(id) ?? { what: what as OwnChange, id, begunMs: atMs, saidMs: atMs, keys: [] };
    const said = state === 'ended' ? { endedMs: atMs } : { saidMs: atMs };
    found.set(id, { ...known, ...said, keys: [...known.keys, key] });
  }
  return [...found.values()].sort((a, b) => a.begunMs - b.begunMs);
}
