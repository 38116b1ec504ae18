import type { InstanceContext } from '../../backup/instance-context.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import { type AofPlace, heldFolder } from './aof-place.ts';
import { BaseShipping } from './base-shipping.ts';
import type { Course } from './course.ts';
import { EventRecords } from './event-records.ts';
import { FileSwitches } from './file-switches.ts';
import type { FollowFigures, FollowIO, FollowOptions } from './follow-options.ts';
import { GoingOn } from './going-on.ts';
import { HeldFiles } from './held-files.ts';
import { locate } from './locate.ts';
import { LookAgain } from './look-again.ts';
import { Looks } from './looks.ts';
import { PatientStore } from './patient-store.ts';
import { Questions } from './questions.ts';
import { SameFiles } from './same-files.ts';
import { ServerWatch } from './server-watch.ts';
import { Shipping } from './shipping.ts';
import { Spool } from './spool.ts';
import { Telling } from './telling.ts';

/** Follows the append-only files of one server into the repository. */
export class Follower {
  readonly #context: InstanceContext;
  readonly #io: FollowIO;
  readonly #options: FollowOptions;
  readonly #tailOnly: boolean;
  readonly #server: ServerWatch;
  readonly #telling: Telling;
  readonly #store: PatientStore;
  #course: Course | undefined;
  #spool: Spool | undefined;
  #shipping: Shipping | undefined;

  /** @param tailOnly ship what is on the disk and end; the server need not answer */
  constructor(context: InstanceContext, io: FollowIO, options: FollowOptions, tailOnly = false) {
    this.#context = context;
    this.#io = io;
    this.#options = options;
    this.#tailOnly = tailOnly;
    this.#server = new ServerWatch(context.target);
    this.#telling = new Telling(io.onFigures);
    this.#store = new PatientStore({ io, options, tailOnly }, this.#telling, () => this.#spool?.dropped ?? false);
  }

  get figures(): FollowFigures {
    return this.#telling.figures;
  }

  /** True where every whole command that is on the disk was shipped at the last look. */
  get idle(): boolean {
    return this.#shipping?.idle ?? false;
  }

  /** Where the server's files are, and whose they are. @returns undefined where nobody knows, and the server is down */
  async locate(): Promise<AofPlace | undefined> {
    const about = { context: this.#context, io: this.#io, options: this.#options, tailOnly: this.#tailOnly };
    const found = await locate(about, { server: this.#server, store: this.#store, telling: this.#telling });
    if (found) this.#course = { ...about, ...found, position: 0, previous: null, lastMs: 0 };
    return found?.place;
  }

  /** However it ended: the connection with which the server was asked, which somebody who may not follow has made, too. */
  close(): void {
    this.#server.close();
  }

  /** Follows until the signal, or, with `tailOnly`, until nothing more is there. The lock is the caller's. */
  async run(): Promise<void> {
    const course = this.#course!;
    const [server, telling, store] = [this.#server, this.#telling, this.#store];
    const held = await HeldFiles.open(heldFolder(course.place));
    const looks = new Looks(course, held);
    const switches = new FileSwitches();
    const sameFiles = new SameFiles(course.place, server, looks, switches, this.#options.doubtMs);
    const spool = new Spool(course, held, looks, telling);
    this.#spool = spool;
    const bases = new BaseShipping(course, looks, store, spool, telling);
    const events = new EventRecords(course, store, telling);
    const goingOn = new GoingOn(course, { server: sameFiles, switches, held, looks, store, bases, events, telling });
    let failed: { error: unknown } | undefined;
    const stopped = () => {
      if (failed) throw failed.error;
      bases.check();
      return this.#io.signal.aborted || this.#tailOnly;
    };
    const shipping = new Shipping(course, {
      ...{ server, sameFiles, switches, held, looks, store, bases, events, spool, goingOn, telling, stopped },
    });
    this.#shipping = shipping;
    await looks.look();
    const ended = new AbortController();
    const stop = AbortSignal.any([this.#io.signal, ended.signal]);
    const background = [looks.run(stop), new Questions(course, sameFiles, spool, switches).run(stop)].map((each) =>
      each.catch((error: unknown) => {
        failed ??= { error };
      }),
    );
    try {
      for (;;) {
        try {
          spool.dropped = false;
          if (await goingOn.begin()) await shipping.run();
          if (stopped()) break;
        } catch (error) {
          // What is let go of for want of room is closed under whoever reads it.
          const letGo = spool.dropped && !(error instanceof RewindError && !error.retryable);
          if (!(error instanceof LookAgain) && !letGo) throw error;
          course.stretch = undefined;
        }
      }
    } catch (error) {
      if (!this.#io.signal.aborted) throw error;
    } finally {
      ended.abort();
      await Promise.allSettled([...background, bases.ended]);
      await held.close();
    }
  }
}
