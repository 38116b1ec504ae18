import type { InstanceContext } from '../../backup/instance-context.ts';
import { readIdentity } from '../../repository/identity.ts';
import { rememberedPlace } from '../follow/aof-place.ts';
import { type LossState, readLossState, writeLossState } from './loss-state.ts';

/** What the watch knows, and has written down on this machine, so that the next one goes on with it. */
export class LossMemory {
  readonly #context: InstanceContext;
  readonly state: LossState;
  #writing: Promise<void> = Promise.resolve();
  #writtenAt = 0;

  private constructor(context: InstanceContext, state: LossState) {
    this.#context = context;
    this.state = state;
  }

  /** @returns undefined where nobody knows yet whose losses these are @throws nothing that the store says */
  static async of(context: InstanceContext): Promise<LossMemory | undefined> {
    const { home, policy, repository } = context;
    const known = await rememberedPlace(home, policy.instance);
    const identity = known?.identity ?? (await readIdentity(repository, policy.instance).catch(() => undefined))?.id;
    if (identity === undefined) return undefined;
    const state = await readLossState(home, policy.instance, identity);
    return new LossMemory(context, state ?? { formatVersion: 1, identity, swappedOut: {} });
  }

  /** Writes one after the other. @param durably it has to outlive the machine @throws those of the disk */
  write(durably: boolean): Promise<void> {
    this.#writtenAt = Date.now();
    const { home, policy } = this.#context;
    const next = this.#writing.then(() => writeLossState(home, policy.instance, this.state, durably));
    this.#writing = next.catch(() => undefined);
    return next;
  }

  /** Until what was written so far is on the disk, or could not be. */
  written(): Promise<void> {
    return this.#writing;
  }

  /** Where nothing happened it is enough to write now and then. @param ms at most so often */
  async writeEvery(ms: number): Promise<void> {
    if (Date.now() - this.#writtenAt > ms) await this.write(false);
  }
}
