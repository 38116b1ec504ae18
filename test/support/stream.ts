import type { FollowFigures, FollowIO } from '../../archive/follow/follow-options.ts';
import { followStream } from '../../archive/stream/follow-stream.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { type Following, quick } from './archive.ts';

/** Archives a replication stream in this process until it is stopped. */
export function stream(
  context: InstanceContext,
  options: Parameters<typeof followStream>[2] = {},
  { staysUp, ...hooks }: Pick<FollowIO, 'onDestructive'> & { staysUp?: () => boolean } = {},
): Following {
  const told = new AbortController();
  let figures: FollowFigures | undefined;
  const io = {
    ...hooks,
    ...(staysUp ? { staysUp } : {}),
    signal: told.signal,
    onProgress: () => undefined,
    onFigures: (next: FollowFigures) => {
      figures = next;
    },
  };
  const ended = followStream(context, io, { ...quick, ...options });
  ended.catch(() => undefined);
  return {
    figures: () => figures,
    ended,
    stop: () => {
      told.abort();
      return ended;
    },
  };
}
