import { setTimeout as sleep } from 'node:timers/promises';
import { RewindError } from '../errors/rewind-error.ts';
import type { StepIO } from '../process/step-io.ts';
import { type RedisTarget, withRedis } from '../redis/connection.ts';
import type { Repository } from '../repository/repository.ts';
import { bringIntoForce, endWritesOf, type FencedUser, type FenceHands } from './bring-into-force.ts';
import { readCommands } from './command-table.ts';
import { connectToFence } from './connect-to-fence.ts';
import { findOpenFences, type OpenFence } from './fence-record.ts';
import { readRunId } from './fence-writes.ts';
import { saidOf } from './said-of.ts';

export interface WatchOrder {
  readonly repository: Repository;
  readonly instance: string;
  readonly fenceId: string;
  readonly home: string;
  /** Default 1000. */
  readonly everyMs?: number;
}

export interface WatchReport {
  /** Users that were fenced while it watched, each as often as it was. */
  readonly fencedLater: readonly string[];
  /** How often Redis was restarted, which takes a fence away. */
  readonly restarts: number;
  /** `undone`: the fence's undoing has begun. */
  readonly endedBy: 'signal' | 'undone';
}

/**
 * Looks every second who may write, until `io.signal` aborts or the fence's undoing begins: users that are made, that
 * somebody gives rights to or that a restart of Redis brings back are fenced again, written down first and said in
 * `onProgress`. A server that does not answer is waited for: there is nobody else to fence it when it comes back.
 */
export async function watchFence(target: RedisTarget, order: WatchOrder, io: StepIO): Promise<WatchReport> {
  const watch = new Watch(target, order, io);
  try {
    while (!io.signal.aborted) {
      await watch.look();
      await sleep(order.everyMs ?? 1_000, undefined, { signal: io.signal }).catch(() => undefined);
    }
    return watch.report('signal');
  } catch (error) {
    if (error instanceof RewindError && error.code === 'FENCE_ENDED') return watch.report('undone');
    throw error;
  } finally {
    watch.close();
  }
}

class Watch {
  readonly #target: RedisTarget;
  readonly #order: WatchOrder;
  readonly #io: StepIO;
  readonly #later: string[] = [];
  #fence: OpenFence | undefined;
  #hands: FenceHands | undefined;
  #looks = 0;
  #restarts = 0;
  #trouble = '';

  constructor(target: RedisTarget, order: WatchOrder, io: StepIO) {
    this.#target = target;
    this.#order = order;
    this.#io = io;
  }

  /** One look. What Redis or the store fails in is said once and tried again at the next; the end of the fence is thrown. */
  async look(): Promise<void> {
    try {
      const fence = (this.#fence ??= await this.#open());
      const hands = (this.#hands = await this.#connected(fence));
      await this.#fenceAnew(hands, fence);
      if (this.#trouble) this.#say('The fence is watched again.');
      this.#trouble = '';
    } catch (error) {
      this.close();
      if (error instanceof RewindError && lasting.has(error.code)) throw error;
      const trouble = saidOf(error);
      if (trouble !== this.#trouble) this.#say(`The fence cannot be watched now: ${trouble}`);
      this.#trouble = trouble;
    }
  }

  async #fenceAnew(hands: FenceHands, fence: OpenFence): Promise<void> {
    const restarted = hands.runId !== fence.runId;
    const done = await bringIntoForce(hands, fence);
    this.#fence = done.fence;
    if (restarted) this.#restarts += 1;
    // After a look that was cut off, too: it may have taken rights and not come to this.
    if (done.fenced.length > 0 || this.#trouble) await endWritesOf(hands, done.fence);
    if (done.fenced.length > 0) {
      this.#later.push(...done.fenced.map(({ name }) => name));
      this.#say(`${restarted ? 'Redis was restarted. ' : ''}Fenced later: ${listed(done.fenced)}.`);
    } else if (restarted) this.#say('Redis was restarted, and the fence stands.');
  }

  async #open(): Promise<OpenFence> {
    const { repository, instance, fenceId } = this.#order;
    const open = (await findOpenFences(repository, instance)).find(({ record }) => record.fenceId === fenceId);
    if (!open) throw new RewindError('FENCE_ENDED', `${instance} has no open fence ${fenceId}.`);
    return open;
  }

  /** A run of the server lasts at least as long as a connection; its commands change when a module is loaded. */
  async #connected(fence: OpenFence): Promise<FenceHands> {
    this.#looks += 1;
    const { repository } = this.#order;
    const target = this.#target;
    const old = this.#hands;
    if (old) return this.#looks % COMMANDS_EVERY ? old : { ...old, commands: await readCommands(old.redis) };
    const redis = await withRedis(target, (login) => connectToFence(login, target, this.#order, fence));
    try {
      return { redis, target, repository, commands: await readCommands(redis), runId: await readRunId(redis) };
    } catch (error) {
      redis.disconnect();
      throw error;
    }
  }

  report(endedBy: WatchReport['endedBy']): WatchReport {
    return { fencedLater: this.#later, restarts: this.#restarts, endedBy };
  }

  close(): void {
    this.#hands?.redis.disconnect();
    this.#hands = undefined;
  }

  #say(note: string): void {
    this.#io.onProgress({ phase: 'watch', note });
  }
}

/** Looks between two readings of the server's commands. */
const COMMANDS_EVERY = 10;

/** What no further look can mend. */
const lasting = new Set<string>(['FENCE_ENDED', 'FENCE_RECORD_INVALID', 'FENCE_NOT_POSSIBLE']);

const listed = (users: readonly FencedUser[]): string => {
  const names = users.map(({ name }) => name);
  return names.length > 5 ? `${names.slice(0, 5).join(', ')} and ${names.length - 5} more` : names.join(', ');
};
