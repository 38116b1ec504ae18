import { openLosses } from '../../archive/loss/loss-record.ts';
import { nextAfterLoss } from '../../archive/loss/told-loss.ts';
import type { Repository } from '../../repository/repository.ts';

/** A loss that was noticed and that nobody has closed, as `status --json` prints it. */
export interface LossStatus {
  /** When it was noticed, ISO 8601. */
  readonly time: string;
  /** `flush`, `swap`, `mass-delete`, `came-back-empty`, `came-back-with-less`, `older`, `shrank`. */
  readonly kind: string;
  readonly what: string;
  readonly keysLost?: number;
  /** Pinned: nothing that it needs is pruned. */
  readonly lastGood: { readonly timeline: number; readonly offset: number };
  /** What is typed next. */
  readonly command: string;
}

/** The losses of an instance with an archive, newest first, from the repository alone. */
export async function lossesOf(repository: Repository, instance: string): Promise<readonly LossStatus[]> {
  return (await openLosses(repository, instance)).map(({ timeMs, kind, sentence, keysLost, good }) => ({
    time: new Date(timeMs).toISOString(),
    kind,
    what: sentence,
    ...(keysLost === undefined ? {} : { keysLost }),
    lastGood: { timeline: good.timeline, offset: good.position },
    command: nextAfterLoss(instance, { kind, good }),
  }));
}
