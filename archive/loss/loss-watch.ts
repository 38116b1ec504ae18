import type { InstanceContext } from '../../backup/instance-context.ts';
import type { FollowFigures, FoundDestructive } from '../follow/follow-options.ts';
import { type LookOptions, LossLooks } from './loss-looks.ts';
import { LossMemory } from './loss-memory.ts';
import { type LossHooks, LossTelling } from './loss-telling.ts';
import { pause } from './pause.ts';
import { SeenArchive } from './seen-archive.ts';

/**
 * Watches a server for losses by their effect, beside the follower of its file. A loss is written down on this machine first,
 * then it is told, and its last good moment is pinned; killed anywhere between, the next watch goes on with that. Whatever
 * fails here, the follower does not see it.
 */
export class LossWatch {
  readonly #context: InstanceContext;
  readonly #hooks: LossHooks;
  readonly #options: LookOptions;
  readonly #archive: SeenArchive;
  #looks: LossLooks | undefined;

  constructor(context: InstanceContext, hooks: LossHooks, options: LookOptions) {
    this.#context = context;
    this.#hooks = hooks;
    this.#options = options;
    this.#archive = new SeenArchive(2 * options.askMs);
  }

  /** How far the follower is. */
  figures(figures: FollowFigures): void {
    this.#archive.figures(figures);
  }

  /** What the follower found in the file. */
  destructive(found: FoundDestructive): void {
    this.#archive.destructive(found);
    this.#looks?.wake();
  }

  /** Until the signal. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const onTrouble = (error: unknown) =>
      this.#hooks.onTrouble?.(error instanceof Error ? error.message : String(error));
    let memory: LossMemory | undefined;
    try {
      memory = await this.#remembered(signal);
      if (!memory) return;
      const parts = { memory, archive: this.#archive };
      const telling = new LossTelling(this.#context, this.#hooks, this.#options, parts);
      this.#looks = new LossLooks(this.#context, this.#options, { ...parts, telling, onTrouble });
      await Promise.all([this.#looks.run(signal), telling.run(signal)]);
    } catch (error) {
      onTrouble(error);
    } finally {
      await memory?.write(false).catch(() => undefined);
    }
  }

  /** @returns undefined at the end */
  async #remembered(signal: AbortSignal): Promise<LossMemory | undefined> {
    while (!signal.aborted) {
      const memory = await LossMemory.of(this.#context);
      if (memory) return memory;
      await pause(this.#options.askMs, signal);
    }
    return undefined;
  }
}
