import { setTimeout as sleep } from 'node:timers/promises';
import type { InstanceContext } from '../../backup/instance-context.ts';
import type { FollowFigures, FollowIO, FollowOptions } from '../follow/follow-options.ts';
import { LookAgain } from '../follow/look-again.ts';
import type { PatientStore } from '../follow/patient-store.ts';
import type { Telling } from '../follow/telling.ts';
import { refuseRival } from '../follow/tip.ts';
import { type BaseRules, FreshBase } from './fresh-base.ts';
import type { StreamCourse, StreamSession } from './stream-course.ts';
import { tellFigures } from './stream-figures.ts';
import { StreamGoesOn } from './stream-goes-on.ts';
import { StreamShipping } from './stream-shipping.ts';

interface Parts {
  readonly session: StreamSession;
  readonly telling: Telling;
  readonly store: PatientStore;
  readonly rules: BaseRules;
}

/** Ships what a server sends to its replicas into the repository. */
export class StreamFollower {
  readonly #course: StreamCourse;
  readonly #goesOn: StreamGoesOn;
  readonly #shipping: StreamShipping;
  readonly #freshBase: FreshBase;
  #failed: { error: unknown } | undefined;

  constructor(
    context: InstanceContext,
    io: FollowIO,
    options: FollowOptions,
    { session, telling, store, rules }: Parts,
  ) {
    this.#course = {
      ...{ context, io, options: { ...options, now: session.now }, session, store, telling },
      ...{ crossed: new Set(), runId: '', position: 0, previous: null, lastMs: 0 },
    };
    this.#goesOn = new StreamGoesOn(this.#course);
    this.#freshBase = new FreshBase(this.#course, rules);
    this.#shipping = new StreamShipping(this.#course, this.#goesOn, () => this.#stopped());
  }

  get figures(): FollowFigures {
    return this.#course.telling.figures;
  }

  /** True where every whole command that has come was shipped at the last look. */
  get idle(): boolean {
    return this.#shipping.idle;
  }

  /** Until the signal; then it ships what has come. @throws as `followStream` */
  async run(): Promise<void> {
    const { io, session } = this.#course;
    const ended = new AbortController();
    const stop = AbortSignal.any([io.signal, ended.signal]);
    const questions = this.#questions(stop).catch((error: unknown) => {
      this.#failed ??= { error };
      session.spool.tellGrown();
    });
    const wake = () => session.spool.tellGrown();
    io.signal.addEventListener('abort', wake, { once: true });
    try {
      for (;;) {
        try {
          if (await this.#goesOn.begin()) await this.#shipping.run();
          else await this.#wait();
          if (this.#stopped()) break;
        } catch (error) {
          if (!(error instanceof LookAgain)) throw error;
        }
      }
    } catch (error) {
      if (!io.signal.aborted) throw error;
    } finally {
      io.signal.removeEventListener('abort', wake);
      ended.abort();
      await questions;
      session.spool.tellGrown();
      await this.#freshBase.ended();
    }
  }

  #stopped(): boolean {
    if (this.#failed) throw this.#failed.error;
    const { session, io } = this.#course;
    if (session.receiver.failed !== undefined) throw session.receiver.failed;
    return io.signal.aborted;
  }

  /** Nothing has come yet. */
  async #wait(): Promise<void> {
    const { session, telling, options } = this.#course;
    const { state, note } = session.receiver;
    if (state !== 'receiving') telling.say('waiting', note);
    await Promise.race([session.spool.grown, sleep(options.askMs)]);
  }

  async #questions(signal: AbortSignal): Promise<void> {
    const course = this.#course;
    const { options, session, context } = course;
    let expiredKeys: number | undefined;
    let lookedForRivalAt = Date.now();
    while (!signal.aborted) {
      const { signs } = session.receiver;
      if (signs && expiredKeys !== undefined) {
        course.stretch?.finder.dataSet(signs.keys, Math.max(0, signs.expiredKeys - expiredKeys));
      }
      expiredKeys = signs?.expiredKeys;
      tellFigures(course);
      this.#freshBase.look(signal);
      if (course.timeline && Date.now() - lookedForRivalAt >= options.rivalMs) {
        lookedForRivalAt = Date.now();
        await refuseRival(context.repository, context.policy.instance, course);
      }
      await sleep(options.askMs, undefined, { signal }).catch(() => undefined);
    }
  }
}
