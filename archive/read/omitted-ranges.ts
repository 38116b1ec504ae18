import type { AofCommand } from '../../aof/command.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { Omission } from './moment.ts';

/**
 * What a replay leaves out, held against the commands as they pass: each range has to begin where a command begins and to
 * end where one ends, and may cut no transaction in two. One inside of a transaction leaves the rest of that standing.
 */
export class OmittedRanges {
  readonly #ranges: readonly Omission[];
  readonly #byStart: ReadonlyMap<number, Omission>;
  /** The range that the command at hand lies in; the MULTI that it began in (-1: in none), and the database there. */
  #open: { readonly range: Omission; readonly transactionAt: number; readonly db: number } | undefined;
  #met: number;
  #next = 0;

  /** @param met how many of them an earlier call has passed already */
  constructor(ranges: readonly Omission[], met = 0) {
    this.#ranges = [...ranges].sort((a, b) => a.start - b.start);
    this.#byStart = new Map(this.#ranges.map((range) => [range.start, range]));
    this.#met = met;
  }

  get met(): number {
    return this.#met;
  }

  /** True between the beginning and the end of a range. */
  get inside(): boolean {
    return this.#open !== undefined;
  }

  /**
   * @returns where a range that stands outside of transactions ends with this command: the database at its beginning
   * @throws ARCHIVE_OMISSION_INVALID
   */
  meets(command: AofCommand): number | undefined {
    const range = this.#byStart.get(command.start);
    if (range) {
      const begins = command.transactionAt >= 0 && command.transactionAt !== command.start;
      this.#open = { range, transactionAt: begins ? command.transactionAt : -1, db: command.db };
    }
    const open = this.#open;
    if (!open) return undefined;
    const within = open.transactionAt >= 0;
    // What a SELECT in the middle of a transaction selects is needed by the rest of it.
    if (within && (command.is('exec') || command.is('select'))) throw notWhole();
    if (command.end < open.range.end) return undefined;
    const isWhole = within || command.transactionAt < 0 || command.is('exec');
    if (command.end > open.range.end || !isWhole) throw notWhole();
    this.#open = undefined;
    this.#met += 1;
    return within ? undefined : open.db;
  }

  /** The first range that ends behind a position. Positions are asked for in their order. */
  endingBehind(position: number): Omission | undefined {
    while (this.#next < this.#ranges.length && this.#ranges[this.#next]!.end <= position) this.#next += 1;
    return this.#ranges[this.#next];
  }

  /** @throws ARCHIVE_OMISSION_INVALID */
  assertAllMet(): void {
    if (this.#met !== this.#ranges.length) throw notWhole();
  }
}

function notWhole(): RewindError {
  return new RewindError('ARCHIVE_OMISSION_INVALID', 'What is to be left out is not one whole command or transaction.');
}
