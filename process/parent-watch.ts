/**
 * Ends what this process started when the one that started it is gone. `npm start` is a chain of npm, `scripts/start.mjs` and this
 * process, and each of them can be killed -9; the channel between the last two closes when that happens.
 *
 * Does nothing in a process that was started without a channel, such as one typed at a terminal.
 *
 * @param onGone called once, when the parent is gone
 * @returns stops watching, so that this process can end by itself
 */
export function endWithParent(onGone: () => void): () => void {
  if (process.channel === undefined || process.channel === null) return () => {};
  const gone = () => onGone();
  process.once('disconnect', gone);
  // A listener for 'disconnect' alone does not keep a process up, and should not: the work that it watches over does.
  process.channel.unref();
  return () => process.removeListener('disconnect', gone);
}
