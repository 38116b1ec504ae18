import { mapBounded } from '../../repository/map-bounded.ts';
import type { Repository } from '../../repository/repository.ts';
import { storeEvent } from '../follow/store-records.ts';
import { archiveDirectory, type EventName, parseEventKey } from '../layout.ts';
import { readEvent, readTimeline } from '../read/records.ts';
import { type LossKind, lossKinds } from './judge-loss.ts';
import { type GoodMoment, sentenceOfLoss, type ToldLoss } from './told-loss.ts';

/** So long nothing that a pinned moment needs is pruned, where nobody ends it before; in ms. */
export const pinLastsMs = 90 * 86_400_000;

/** A loss whose last good moment is pinned, and that nobody has closed. */
export interface OpenLoss {
  readonly kind: LossKind | 'unknown';
  readonly command?: string;
  readonly keysLost?: number;
  /** When it was noticed, Unix ms. */
  readonly timeMs: number;
  readonly sentence: string;
  readonly good: GoodMoment;
}

/** Pins the last good moment. Twice is once. @throws those of the store; ARCHIVE_RECORD_INVALID */
export async function pinMoment(
  repository: Repository,
  instance: string,
  loss: Omit<ToldLoss, 'good' | 'id' | 'goodMs'>,
  { timeline, position }: GoodMoment,
): Promise<void> {
  const { identity } = await readTimeline({ repository, instance }, timeline);
  const [only, ...more] = loss.databases;
  await storeEvent(repository, {
    ...{ instance, identity, timeline, kind: 'pin', position, timeMs: loss.timeMs },
    command: loss.command ?? loss.kind.toUpperCase(),
    ...(only !== undefined && more.length === 0 ? { database: only } : {}),
    keys: loss.keysLost,
    note: sentenceOfLoss(loss),
  });
}

/** True of a pin that holds: it was not released, and is not too old. */
export function holds(pin: EventName, events: readonly EventName[], now: number): boolean {
  const released = events.some(
    ({ kind, position, timeMs }) => kind === 'release' && position === pin.position && timeMs >= pin.timeMs,
  );
  return pin.kind === 'pin' && !released && now - pin.timeMs < pinLastsMs;
}

/** Read at most, the newest ones. */
const mostRead = 16;

/** The losses of an instance that nobody has closed, newest first: from one listing and their records. */
export async function openLosses(repository: Repository, instance: string, now = Date.now()): Promise<OpenLoss[]> {
  const open = (await openPins(repository, instance, now)).slice(0, mostRead);
  return mapBounded(open, mostRead, async ({ timeline, name }) => {
    const { command, keys, note } = await readEvent({ repository, instance }, timeline, name);
    const kind = lossKinds.find((each) => each.toUpperCase() === command) ?? kindOfCommand(command);
    return {
      kind,
      ...(command !== undefined && /^[A-Z]+$/.test(command) && kindOfCommand(command) !== 'unknown' ? { command } : {}),
      ...(keys === undefined ? {} : { keysLost: keys }),
      timeMs: name.timeMs,
      sentence: note ?? 'A moment is pinned.',
      good: { timeline, position: name.position },
    };
  });
}

/** Closes those that were noticed by then: nothing is kept for them any more beyond what is kept anyway. Twice is once. */
export async function closeLosses(repository: Repository, instance: string, untilMs: number): Promise<number> {
  const open = (await openPins(repository, instance, Date.now())).filter(({ name }) => name.timeMs <= untilMs);
  for (const { timeline, name } of open) {
    const { identity, position } = await readEvent({ repository, instance }, timeline, name);
    await storeEvent(repository, { instance, identity, timeline, kind: 'release', position, timeMs: untilMs });
  }
  return open.length;
}

async function openPins(
  repository: Repository,
  instance: string,
  now: number,
): Promise<{ timeline: number; name: EventName }[]> {
  const byTimeline = new Map<number, EventName[]>();
  const directory = `${archiveDirectory(instance)}events/`;
  for await (const { key } of repository.list(directory)) {
    if (!/-(pin|release)\.json$/.test(key)) continue;
    const timeline = Number(/^(\d{8})\//.exec(key.slice(directory.length))?.[1] ?? Number.NaN);
    const name = parseEventKey(key, instance, timeline);
    if (name) byTimeline.set(timeline, [...(byTimeline.get(timeline) ?? []), name]);
  }
  return [...byTimeline]
    .flatMap(([timeline, events]) =>
      events.filter((each) => holds(each, events, now)).map((name) => ({ timeline, name })),
    )
    .sort((a, b) => b.name.timeMs - a.name.timeMs);
}

function kindOfCommand(command: string | undefined): LossKind | 'unknown' {
  if (command === 'FLUSHALL' || command === 'FLUSHDB') return 'flush';
  if (command === 'SWAPDB') return 'swap';
  return command === 'DEL' || command === 'UNLINK' ? 'mass-delete' : 'unknown';
}
