import type { AofCommand } from '../../aof/command.ts';
import type { Omission } from '../../archive/read/moment.ts';

/** What is left out of a replay, for a person to read. */
export interface LeftOut {
  /** Upper case. */
  readonly command: string;
  readonly count: number;
  /** Position of the first. */
  readonly position: number;
  readonly database: number;
}

/** A mass delete, by its positions: what deletes in there is what is left out. */
export interface MassDelete {
  readonly from: number;
  readonly to: number;
}

const flushes = ['flushall', 'flushdb', 'swapdb'] as const;
const deletes = ['del', 'unlink'] as const;

/** Finds the commands that are left out, each by itself: of a transaction everything else stands. */
export class DestructiveRanges {
  readonly #mass: MassDelete | undefined;
  readonly #ranges: { start: number; end: number }[] = [];
  readonly #leftOut = new Map<string, { command: string; count: number; position: number; database: number }>();

  constructor(mass: MassDelete | undefined) {
    this.#mass = mass;
  }

  get ranges(): readonly Omission[] {
    return this.#ranges;
  }

  get leftOut(): readonly LeftOut[] {
    return [...this.#leftOut.values()];
  }

  /** @returns the databases that it emptied, or exchanged; undefined where the command stays */
  emptiedBy(command: AofCommand): readonly number[] | 'all' | undefined {
    const flush = flushes.find((name) => command.is(name));
    if (flush) {
      this.#leaveOut(flush, command);
      if (flush === 'flushall') return 'all';
      if (flush === 'flushdb') return [command.db];
      return [command.copyArgument(1), command.copyArgument(2)].map((text) => Number(text?.toString('latin1') ?? 0));
    }
    const mass = this.#mass;
    if (!mass || command.start < mass.from || command.start >= mass.to) return undefined;
    const removal = deletes.find((name) => command.is(name));
    if (!removal) return undefined;
    this.#leaveOut(removal, command);
    return [command.db];
  }

  #leaveOut(name: string, { start, end, db, transactionAt }: AofCommand): void {
    const last = this.#ranges.at(-1);
    // One behind the other, as a mass delete writes them, are one piece; a transaction's edge is never within one.
    if (last?.end === start && transactionAt < 0) last.end = end;
    else this.#ranges.push({ start, end });
    const key = `${name} ${db}`;
    const told = this.#leftOut.get(key) ?? { command: name.toUpperCase(), count: 0, position: start, database: db };
    told.count += 1;
    this.#leftOut.set(key, told);
  }
}
