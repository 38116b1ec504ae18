import type { AofCommand } from '../../aof/command.ts';

/** A command that takes away much, by offsets in its file. */
export interface DestructiveCommand {
  /** Of its MULTI, where it is in one. */
  readonly start: number;
  readonly end: number;
  readonly command: string;
  readonly database: number;
  /** Keys that it names, of DEL and UNLINK. */
  readonly keys?: number;
}

export interface MassLimits {
  readonly massKeys: number;
  readonly massShare: number;
  readonly massMs: number;
}

const flushes = ['flushall', 'flushdb', 'swapdb'] as const;
const removals = ['del', 'unlink'] as const;

/** Finds in passing what destroys: allocates nothing for any other command. */
export class DestructiveFinder {
  readonly #found: DestructiveCommand[] = [];
  readonly #limits: MassLimits;
  readonly #now: () => number;
  /** Keys of the data set before the removals, by the last answer of the server. */
  #keysBefore = 0;
  #mass: { start: number; end: number; command: string; database: number; keys: number; sinceMs: number } | undefined;

  constructor(limits: MassLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  /** @param expired keys that expired since the last time: they stand in the file as DEL or UNLINK */
  dataSet(keys: number, expired: number): void {
    if (this.#mass) this.#mass.keys = Math.max(0, this.#mass.keys - expired);
    else this.#keysBefore = keys;
  }

  command(command: AofCommand): void {
    const length = command.held === 0 ? 0 : command.argumentEnd[0]! - command.argumentStart[0]!;
    if (length !== 8 && length !== 7 && length !== 6 && length !== 3) return;
    const start = command.transactionAt < 0 ? command.start : command.transactionAt;
    const place = { start, end: command.end, database: command.db };
    for (const name of flushes) {
      if (!command.is(name)) continue;
      this.#found.push({ ...place, command: name.toUpperCase() });
      return;
    }
    for (const name of removals) {
      if (!command.is(name)) continue;
      const now = this.#now();
      if (this.#mass && now - this.#mass.sinceMs > this.#limits.massMs) this.#endMass();
      this.#mass ??= { ...place, command: name.toUpperCase(), keys: 0, sinceMs: now };
      this.#mass.keys += command.argc - 1;
      this.#mass.end = command.end;
      return;
    }
  }

  /** What was found and is wholly before `end`; a mass removal that goes on is told when its time is over. */
  takeBefore(end: number): DestructiveCommand[] {
    if (this.#mass && this.#now() - this.#mass.sinceMs > this.#limits.massMs) this.#endMass();
    const count = this.#found.filter((each) => each.end <= end).length;
    return this.#found.splice(0, count);
  }

  /** The file goes on no more: all that was found. */
  takeAll(): DestructiveCommand[] {
    this.#endMass();
    return this.#found.splice(0);
  }

  #endMass(): void {
    const mass = this.#mass;
    this.#mass = undefined;
    if (!mass || mass.keys < this.#limits.massKeys || mass.keys < this.#limits.massShare * this.#keysBefore) return;
    const { sinceMs: _, ...found } = mass;
    this.#found.push(found);
    this.#found.sort((a, b) => a.end - b.end);
  }
}
