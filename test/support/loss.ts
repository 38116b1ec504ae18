import { rememberedPlace } from '../../archive/follow/aof-place.ts';
import { followAof } from '../../archive/follow/follow-aof.ts';
import { lossLimits } from '../../archive/loss/judge-loss.ts';
import type { LookOptions } from '../../archive/loss/loss-looks.ts';
import { openLosses } from '../../archive/loss/loss-record.ts';
import type { LossHooks } from '../../archive/loss/loss-telling.ts';
import { LossWatch } from '../../archive/loss/loss-watch.ts';
import type { ToldLoss } from '../../archive/loss/told-loss.ts';
import type { InstanceContext } from '../../backup/instance-context.ts';
import { instance, quick, until } from './archive.ts';

/** Looks often, so that a test is short; everything that decides is as in production. */
export const watchOften: LookOptions = {
  ...lossLimits,
  ...{ shrunkTo: 0.5, askMs: 100, togetherMs: 60_000, exactMs: 20_000, now: Date.now },
};

export interface Watching {
  readonly told: readonly ToldLoss[];
  readonly trouble: readonly string[];
  /** Until the watch has seen the server as it is now at least once more. */
  looked(): Promise<void>;
  /** The first loss that is told, and its pin. */
  loss(): Promise<{ told: ToldLoss; pins: Awaited<ReturnType<typeof openLosses>> }>;
  stop(): Promise<void>;
}

/** A follower and the watch beside it, in this process. */
export function watchLosses(
  context: InstanceContext,
  hooks: Partial<LossHooks> = {},
  options: Partial<LookOptions> = {},
): Watching {
  const end = new AbortController();
  const { signal } = end;
  const told: ToldLoss[] = [];
  const trouble: string[] = [];
  let looks = 0;
  const now = () => {
    looks += 1;
    return (options.now ?? Date.now)();
  };
  const watch = new LossWatch(
    context,
    { tell: async (loss) => void told.push(loss), onTrouble: (sentence) => trouble.push(sentence), ...hooks },
    { ...watchOften, ...options, now },
  );
  const io = { signal, onProgress: () => undefined, onDestructive: watch.destructive.bind(watch) };
  const following = followAof(context, { ...io, onFigures: (figures) => watch.figures(figures) }, quick);
  const running = following.catch(() => undefined);
  const watching = watch.run(signal);
  return {
    told,
    trouble,
    looked: async () => {
      await until('somebody follows', () => rememberedPlace(context.home, instance));
      const from = looks;
      await until('two looks', async () => looks > from + 6);
    },
    loss: async () => {
      const first = await until('a loss is told', async () => told[0]);
      const pins = await until('it is pinned', async () => {
        const found = await openLosses(context.repository, instance);
        return found.length > 0 && found;
      });
      return { told: first, pins };
    },
    stop: async () => {
      end.abort();
      await Promise.all([running, watching]);
    },
  };
}
