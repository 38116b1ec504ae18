import type { AofCommand } from '../../aof/command.ts';
import { type Course, recordOf } from './course.ts';
import { type DestructiveCommand, eventOf } from './destructive.ts';
import { FileTail } from './file-tail.ts';
import type { ClockStep } from './looks.ts';
import type { PatientStore } from './patient-store.ts';
import { storeEvent } from './store-records.ts';
import { finderOf, seenIn } from './stretch.ts';
import type { Telling } from './telling.ts';
import type { Tip } from './tip.ts';

/** Records what happened: gaps, destructive commands, steps of the clock. */
export class EventRecords {
  readonly #course: Course;
  readonly #store: PatientStore;
  readonly #telling: Telling;

  constructor(course: Course, store: PatientStore, telling: Telling) {
    this.#course = course;
    this.#store = store;
    this.#telling = telling;
  }

  async gap(from: number, to: number, note: string): Promise<void> {
    const until = { position: to, timeMs: this.#course.options.now() };
    await this.#event({ kind: 'gap', position: from, timeMs: this.#course.lastMs, until, note });
    this.#telling.count('gaps');
  }

  clock({ fromMs, toMs }: ClockStep, position: number): Promise<void> {
    return this.#event({ kind: 'clock', position, timeMs: fromMs, toMs });
  }

  async destructive(fileStart: number, commands: readonly DestructiveCommand[]): Promise<void> {
    for (const found of commands) await this.#event(eventOf(fileStart, found));
  }

  /** One that was killed between a segment and what it says of it did not say it. */
  async tellAgain({ last }: Tip): Promise<void> {
    const { stretch, timeline, options, io, lastMs } = this.#course;
    if (!last || !stretch) return;
    const { file, start, end, db, marks } = last.header;
    const { fileStart } = stretch;
    const of = { timeline: timeline!.timeline, fileStart, keys: 0, seenAt: seenIn(marks, fileStart, lastMs) };
    const finder = finderOf(of, options, io.onDestructive);
    const visitor = { command: (command: AofCommand) => finder.command(command) };
    const { transactionBytes } = options;
    const tail = new FileTail(stretch.file.handle, { offset: file.offset, db }, { transactionBytes, visitor });
    while (await tail.readOn(file.offset + end - start));
    await this.destructive(fileStart, finder.takeAll());
  }

  #event(event: Omit<Parameters<typeof storeEvent>[1], 'instance' | 'identity' | 'timeline'>): Promise<void> {
    const { repository } = this.#course.context;
    return this.#store.until(() => storeEvent(repository, { ...recordOf(this.#course), ...event }));
  }
}
