import { RewindError } from '../../errors/rewind-error.ts';
import type { Gap } from './reach.ts';

/** A moment that lies in a gap, with the nearest ones on both sides. */
export function inGap(instance: string, what: string, { from, until }: Gap): RewindError {
  const before = from.position > 0 ? sayMoment(from) : undefined;
  const after = until && sayMoment(until);
  return new RewindError(
    'ARCHIVE_MOMENT_IN_GAP',
    `${what} lies where nothing of ${instance} was archived. The nearest moments: before it ${before ?? 'none'}, after it ${after ?? 'none yet'}.`,
    { details: { before: from, after: until } },
  );
}

const sayMoment = ({ position, timeMs }: { position: number; timeMs: number }): string =>
  `position ${position} (${new Date(timeMs).toISOString()})`;

/** A position before the first byte or behind the last one. */
export function outside(
  instance: string,
  what: string,
  { before, after }: { before?: number; after?: number },
): RewindError {
  const say = (position: number | undefined) => (position === undefined ? 'none' : `position ${position}`);
  return new RewindError(
    'ARCHIVE_MOMENT_IN_GAP',
    `${what} is not in the archive of ${instance}. The nearest moments: before it ${say(before)}, after it ${say(after)}.`,
    { details: { before, after } },
  );
}
