import type { StreamCourse } from './stream-course.ts';

/** Tells how far the archive of a stream is: at each look, and while the store keeps it waiting. */
export function tellFigures({ timeline, stretch, run, position, options, telling, session }: StreamCourse): void {
  const { receiver, spool } = session;
  telling.held(spool.unshippedBytes);
  const { state, dropped } = telling.figures;
  if (receiver.dropped > dropped) telling.count('dropped', receiver.dropped - dropped);
  // What waits for the store outweighs a link that is down.
  if (receiver.state === 'full') telling.say('store', receiver.note);
  else if (receiver.state === 'waiting' && state !== 'store') telling.say('waiting', receiver.note);
  else if (state === 'waiting' && stretch) telling.say('following');
  if (!timeline || !stretch || !run) return;
  const seen = run.marks.seenAt(stretch.from.offset);
  telling.figure({
    timeline: timeline.timeline,
    position,
    unshippedBytes: Math.max(0, run.marks.upTo - stretch.from.offset),
    lagMs: seen === undefined ? 0 : Math.max(0, options.now() - seen),
  });
}
