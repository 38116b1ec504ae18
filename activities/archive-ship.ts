import { followAof } from '../archive/follow/follow-aof.ts';
import type { FollowFigures } from '../archive/follow/follow-options.ts';
import { followStream } from '../archive/stream/follow-stream.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
import { lossBeside } from './loss-beside.ts';
import { runStep } from './step.ts';

export interface FollowRequest {
  readonly instance: string;
  /** The step ends by itself after so long, so that a run's history stays short and a new configuration is seen. */
  readonly forMs: number;
}

/** Absent figures: this agent's configuration does not ask for an archive. */
export interface Followed {
  readonly figures?: FollowFigures;
}

/** Between two heartbeats that carry new figures. */
const tellMs = 2_000;

/** Follows what an instance writes: the append-only file beside this agent, or the replication stream. */
export function archiveShipActivities(contextOf: (subject: { instance: string }) => Promise<InstanceContext>) {
  return {
    followAof: ({ instance, forMs }: FollowRequest): Promise<Followed> =>
      runStep<Followed, FollowFigures>(async (io) => {
        const context = await contextOf({ instance });
        const { archive } = context.policy;
        if (!archive) return {};
        const time = AbortSignal.timeout(forMs);
        let toldAt = 0;
        const signal = AbortSignal.any([io.signal, time]);
        const over = new AbortController();
        const losses = lossBeside(context, AbortSignal.any([signal, over.signal]));
        const onFigures = (figures: FollowFigures) => {
          losses.onFigures(figures);
          io.onProgress({ phase: figures.state, done: figures.position, unit: 'bytes', note: noteOf(figures) });
          if (Date.now() - toldAt < tellMs) return;
          toldAt = Date.now();
          io.onCursor(figures);
        };
        const { from, segmentBytes, segmentMs, spoolBytes } = archive;
        const following = { ...io, signal, onFigures, onDestructive: losses.onDestructive };
        const options = { segmentBytes, segmentMs, spoolBytes };
        // The run's next step comes within seconds: until then the replication link stays up.
        const staysUp = () => time.aborted && !io.signal.aborted;
        try {
          const figures =
            from === 'file'
              ? await followAof(context, following, options)
              : await followStream(context, { ...following, staysUp }, options);
          return { figures };
        } finally {
          over.abort();
          await losses.ended();
        }
      }),
  };
}

function noteOf({ lagMs, unshippedBytes, note }: FollowFigures): string {
  const lag =
    unshippedBytes === 0 ? 'nothing unshipped' : `${unshippedBytes} bytes unshipped for ${(lagMs / 1000).toFixed(1)} s`;
  return note === undefined ? lag : `${lag}; ${note}`;
}

export type ArchiveShipActivities = ReturnType<typeof archiveShipActivities>;
