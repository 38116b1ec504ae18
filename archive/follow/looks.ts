import { setTimeout as sleep } from 'node:timers/promises';
import type { Course } from './course.ts';
import type { HeldFile, HeldFiles } from './held-files.ts';
import { type FilesNow, ManifestWatch } from './manifest-watch.ts';
import { MarkLog } from './mark-log.ts';

/** A step of the machine's clock: what of the file `id` lies before `upTo` was written before it. */
export interface ClockStep {
  readonly fromMs: number;
  readonly toMs: number;
  readonly id: string;
  readonly upTo: number;
}

/** Looks at the manifest, the files' sizes and the clock all the time, whatever the store does. */
export class Looks {
  readonly #course: Course;
  readonly #held: HeldFiles;
  readonly #watch: ManifestWatch;
  /** By ids of files. */
  readonly #logs = new Map<string, MarkLog>();
  /** Ids of files that were followed to their end, and did not go on. */
  readonly exhausted = new Set<string>();
  #steps: ClockStep[] = [];
  #looking: Promise<void> | undefined;
  #ended = Promise.withResolvers<void>();

  constructor(course: Course, held: HeldFiles) {
    this.#course = course;
    this.#held = held;
    this.#watch = new ManifestWatch(course.place, held);
  }

  /** Undefined where there is no whole set of files, and then `problem` says why. */
  get files(): FilesNow | undefined {
    return this.#watch.now;
  }
  get problem(): string | undefined {
    return this.#watch.problem;
  }
  followed(a: HeldFile, b: HeldFile): boolean {
    return this.#watch.followed(a, b);
  }

  /** Until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { now, pollMs, clockStepMs } = this.#course.options;
    let wall = now();
    let steady = performance.now();
    while (!signal.aborted) {
      await sleep(pollMs, undefined, { signal }).catch(() => undefined);
      const expected = wall + performance.now() - steady;
      wall = now();
      steady = performance.now();
      if (Math.abs(wall - expected) > clockStepMs) this.#clockStepped(Math.round(expected), wall);
      await this.look();
    }
  }

  /** One at a time: a file that two hold at once would be closed under one of them. */
  async look(): Promise<void> {
    await this.#looking?.catch(() => undefined);
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    await this.#looking;
  }

  async #look(): Promise<void> {
    try {
      await this.#watch.look();
      const { stretch } = this.#course;
      const files = new Set([...(this.files?.incrs ?? []), ...(stretch ? [stretch.file] : [])]);
      for (const file of files) await this.mark(file);
    } finally {
      this.#ended.resolve();
      this.#ended = Promise.withResolvers();
    }
  }

  /** Until the next look has ended. */
  async next(atMostMs = 10 * this.#course.options.pollMs): Promise<void> {
    await Promise.race([this.#ended.promise, sleep(atMostMs)]);
  }

  /** Looks how long a file is. */
  async mark(file: HeldFile): Promise<void> {
    if (!this.#held.has(file)) return;
    const found = await file.handle.stat().catch(() => undefined);
    // Let go of meanwhile.
    if (!found) return;
    const { size, mtimeMs } = found;
    const log = this.logOf(file);
    const now = this.#course.options.now();
    // At the first look all that is there is as old as the last write.
    const ms = log.upTo === 0 ? Math.min(now, Math.max(Math.floor(mtimeMs), this.#course.lastMs)) : now;
    log.look(ms, size);
  }

  logOf(file: HeldFile): MarkLog {
    let log = this.#logs.get(file.id);
    if (!log) this.#logs.set(file.id, (log = new MarkLog()));
    return log;
  }

  /** The first one that is not dealt with. */
  stepIn(file: HeldFile): ClockStep | undefined {
    return this.#steps.find(({ id }) => id === file.id);
  }
  dealtWith(step: ClockStep): void {
    this.#steps = this.#steps.filter((each) => each !== step);
  }

  forget(file: HeldFile): void {
    this.#logs.delete(file.id);
    this.exhausted.delete(file.id);
  }

  #clockStepped(fromMs: number, toMs: number): void {
    const file = this.files?.incrs.at(-1) ?? this.#course.stretch?.file;
    if (file) this.#steps.push({ fromMs, toMs, id: file.id, upTo: this.logOf(file).upTo });
  }
}
