import type { AofCommand } from '../../aof/command.ts';
import { AofScanner } from '../../aof/scanner.ts';
import type { AofVisitor } from '../../aof/visitor.ts';
import { readChain, readHeaderAt } from './chain.ts';
import type { ArchiveView } from './timelines.ts';
import { namesOf } from './timelines.ts';

/** A command outside of a transaction, or a whole transaction, by its positions; and what `#TS` said before it (Unix s). */
export interface Unit {
  readonly start: number;
  readonly end: number;
  readonly second?: number;
}

/**
 * Calls `each` for every unit of the segment that holds `position`, in its order, until it answers false; first for an empty
 * one at the segment's beginning.
 *
 * @throws as `readChain`; AOF_CORRUPT where a segment does not consist of commands
 */
export async function eachUnit(
  view: ArchiveView,
  timeline: number,
  position: number,
  each: (unit: Unit) => boolean,
  signal?: AbortSignal,
): Promise<void> {
  const identity = view.timelines.get(timeline)?.identity ?? '';
  let from = position;
  let going = true;
  let second: number | undefined;
  const visitor: AofVisitor = {
    timestamp: (seconds) => {
      second = seconds;
    },
    command: (command: AofCommand) => {
      if (!going) return;
      const closes = command.transactionAt < 0 || command.is('exec');
      if (!closes) return;
      const start = command.transactionAt < 0 ? command.start : command.transactionAt;
      going = each({ start, end: command.end, second });
    },
  };
  const { header: holder } = await readHeaderAt(view.place, namesOf(view, timeline), identity, position, signal);
  // It begins in the middle of a transaction: that one's own beginning tells where it can be cut.
  if (holder.transactionAt !== undefined) from = holder.transactionAt;
  const range = { timeline, from, to: position + 1 };
  let scanner: AofScanner | undefined;
  for await (const part of readChain(view.place, namesOf(view, timeline), range, { identity }, signal)) {
    if (part.part === 'header') {
      const { start, db } = part.header;
      if (scanner !== undefined) continue;
      going = each({ start, end: start });
      scanner = new AofScanner(visitor, { offset: start, db });
    } else if (part.part === 'bytes') push(scanner!, part.bytes);
    if (!going) return;
  }
}

/** @throws AOF_CORRUPT */
export function push(scanner: AofScanner, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) {
    const room = scanner.room();
    const take = Math.min(room.length, bytes.length - at);
    room.set(bytes.subarray(at, at + take));
    scanner.advance(take);
    at += take;
  }
}

/** The largest position at or before `position` that lies between two units. */
export async function floorToUnit(
  view: ArchiveView,
  timeline: number,
  position: number,
  signal?: AbortSignal,
): Promise<number> {
  let floor = 0;
  await eachUnit(
    view,
    timeline,
    position,
    ({ start, end }) => {
      if (start <= position) floor = end <= position ? end : start;
      return end <= position;
    },
    signal,
  );
  return floor;
}
