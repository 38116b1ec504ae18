import { setTimeout as sleep } from 'node:timers/promises';
import type { AofCommand } from '../../aof/command.ts';
import { AofScanner } from '../../aof/scanner.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { readChain } from './chain.ts';
import { push } from './cut.ts';
import { endOf } from './end-of-timeline.ts';
import { newestServer } from './find-moment.ts';
import { inGap } from './in-gap.ts';
import type { Leg, Moment, Omission } from './moment.ts';
import { gapBetween } from './reach.ts';
import type { ArchivePlace } from './records.ts';
import { type ArchiveView, namesOf, viewArchive } from './timelines.ts';

/** Who is told of each command behind a moment; its offsets are positions of the archive. Valid during the call only. */
export interface WhatFollowed {
  command(command: AofCommand): void;
  /** True where enough was read. Asked between two segments. */
  enough(): boolean;
}

export interface FollowOptions {
  /** For so long more is waited for, in milliseconds. */
  readonly withinMs: number;
  readonly everyMs?: number;
  readonly signal: AbortSignal;
}

/** Between two listings of an archive that has not got it yet, in milliseconds. */
const lookEveryMs = 500;

/**
 * Reads what was written after a moment, proven as any chain, until it is enough, and waits for what is still on its way.
 *
 * @throws ARCHIVE_BEHIND where it is not enough in time; ARCHIVE_NOT_CONTINUED where what was archived after the moment does
 *   not follow from it; ARCHIVE_MOMENT_IN_GAP; those of reading the archive
 */
export async function readWhatFollowed(
  place: ArchivePlace,
  moment: Pick<Moment, 'timeline' | 'position' | 'identity'>,
  visitor: WhatFollowed,
  { withinMs, everyMs = lookEveryMs, signal }: FollowOptions,
): Promise<void> {
  const from = moment.position;
  const deadline = Date.now() + withinMs;
  const told = { command: (command: AofCommand) => void (command.start >= from && visitor.command(command)) };
  let at: { readonly timeline: number; readonly position: number } = moment;
  let previous: string | undefined;
  let scanner: AofScanner | undefined;
  let file: string | undefined;
  for (;;) {
    const view = await viewArchive(place);
    for (const leg of await legsToEnd(view, at)) {
      if (leg.timeline !== at.timeline) previous = undefined;
      const origin = { identity: moment.identity, ...(previous === undefined ? {} : { previous }) };
      for await (const part of readChain(place, namesOf(view, leg.timeline), leg, origin, signal)) {
        if (part.part === 'header') {
          const { header } = part;
          if (scanner && header.file.name === file) continue;
          scanner = new AofScanner(told, { offset: header.start, db: header.db });
          file = header.file.name;
        } else if (part.part === 'bytes') push(scanner!, part.bytes);
        else {
          at = { timeline: leg.timeline, position: part.header.end };
          previous = part.digest;
          if (visitor.enough()) return;
        }
      }
    }
    if (visitor.enough()) return;
    if (Date.now() >= deadline) throw behind(place.instance, at.position, withinMs);
    await sleep(everyMs, undefined, { signal });
  }
}

/**
 * The same past as a moment's, gone on with up to a later cut: nothing that was written between them is missing, but what
 * is left out.
 *
 * @throws ARCHIVE_NOT_CONTINUED, ARCHIVE_MOMENT_IN_GAP, those of reading the archive
 */
export async function goOn(
  place: ArchivePlace,
  moment: Moment,
  to: { readonly position: number; readonly timeMs: number },
  omit: readonly Omission[],
): Promise<Moment> {
  const view = await viewArchive(place);
  const further = (await legsToEnd(view, moment)).flatMap((leg) =>
    leg.from >= to.position ? [] : [{ ...leg, to: Math.min(leg.to, to.position) }],
  );
  const legs = [...moment.legs];
  for (const leg of further) {
    const last = legs.at(-1);
    if (last && last.timeline === leg.timeline && last.to === leg.from) legs[legs.length - 1] = { ...last, to: leg.to };
    else legs.push(leg);
  }
  return {
    ...moment,
    ...to,
    timeline: legs.at(-1)?.timeline ?? moment.timeline,
    precision: 'exact: all that was written up to the fence',
    legs,
    server: newestServer(view, moment.server, legs),
    tells: [],
    omit,
  };
}

/** From a place to the end of the newest timeline that goes on from there in the file, without a base in between. */
async function legsToEnd(view: ArchiveView, from: { timeline: number; position: number }): Promise<Leg[]> {
  const { instance } = view.place;
  const newest = [...view.timelines.keys()].at(-1)!;
  const legs: Leg[] = [];
  let on = newest;
  let to = (await endOf(view, newest))?.position ?? view.timelines.get(newest)!.start;
  for (;;) {
    const record = view.timelines.get(on);
    const begin = on === from.timeline ? from.position : (record?.start ?? 0);
    const gap = await gapBetween(view, on, begin, to);
    if (gap) throw inGap(instance, `What was written after position ${from.position}`, gap);
    if (to > begin) legs.unshift({ timeline: on, from: begin, to });
    if (on === from.timeline) return legs;
    // A timeline that begins with a base of its own does not follow from what was archived before.
    if (!record?.parent || record.file === undefined || on < from.timeline) throw notContinued(instance, from, newest);
    on = record.parent.timeline;
    to = record.parent.position;
    if (on === from.timeline && to < from.position) throw notContinued(instance, from, newest);
  }
}

function behind(instance: string, position: number, withinMs: number): RewindError {
  const since = withinMs > 0 ? `${Math.round(withinMs / 1_000)} s after it was` : 'and is not written any more';
  return new RewindError(
    'ARCHIVE_BEHIND',
    `The archive of ${instance} ends at position ${position} and has not got what was written last, ${since}.`,
    { details: { position } },
  );
}

function notContinued(instance: string, from: { timeline: number; position: number }, newest: number): RewindError {
  return new RewindError(
    'ARCHIVE_NOT_CONTINUED',
    `What was written to ${instance} since is on timeline ${newest}, which does not follow from position ${from.position} of timeline ${from.timeline}.`,
    { details: { timeline: from.timeline, position: from.position } },
  );
}
