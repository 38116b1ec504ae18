import { followAof } from '../archive/follow/follow-aof.ts';
import type { FollowFigures } from '../archive/follow/follow-options.ts';
import type { InstanceContext } from '../backup/instance-context.ts';
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

/** Follows the append-only file of the server beside this agent. */
export function archiveShipActivities(contextOf: (subject: { instance: string }) => Promise<InstanceContext>) {
  return {
    followAof: ({ instance, forMs }: FollowRequest): Promise<Followed> =>
      runStep<Followed, FollowFigures>(async (io) => {
        const context = await contextOf({ instance });
        const { archive } = context.policy;
        if (!archive) return {};
        const time = AbortSignal.timeout(forMs);
        let toldAt = 0;
        const onFigures = (figures: FollowFigures) => {
          io.onProgress({ phase: figures.state, done: figures.position, unit: 'bytes', note: noteOf(figures) });
          if (Date.now() - toldAt < tellMs) return;
          toldAt = Date.now();
          io.onCursor(figures);
        };
        const { segmentBytes, segmentMs, spoolBytes } = archive;
        const signal = AbortSignal.any([io.signal, time]);
        return {
          figures: await followAof(context, { ...io, signal, onFigures }, { segmentBytes, segmentMs, spoolBytes }),
        };
      }),
  };
}

function noteOf({ lagMs, unshippedBytes, note }: FollowFigures): string {
  const lag =
    unshippedBytes === 0 ? 'nothing unshipped' : `${unshippedBytes} bytes unshipped for ${(lagMs / 1000).toFixed(1)} s`;
  return note === undefined ? lag : `${lag}; ${note}`;
}

export type ArchiveShipActivities = ReturnType<typeof archiveShipActivities>;
