import type { AofCommand } from '../../aof/command.ts';

/** A command that takes away much, by offsets in its file. */
export interface DestructiveCommand {
  /** Of its MULTI, where it is in one. */
  readonly start: number;
  readonly end: number;
  /** When the byte at `start` was seen first, Unix ms. */
  readonly timeMs: number;
  readonly command: string;
  readonly database: number;
  /** Keys that it names, of DEL and UNLINK. */
  readonly keys?: number;
}

export interface FinderOptions {
  readonly massKeys: number;
  readonly massShare: number;
  readonly massMs: number;
  /** Of the data set, as far as it is known. */
  readonly keys: number;
  /** Unix ms. */
  readonly now: () => number;
  /** When the byte at an offset of the file was seen first. */
  readonly seenAt: (offset: number) => number;
  /** Of each as soon as it is known to be one, once. */
  readonly told: (found: DestructiveCommand) => void;
}

const flushes = ['flushall', 'flushdb', 'swapdb'] as const;
const removals = ['del', 'unlink'] as const;

/** Removals of keys that belong together. */
type Mass = DestructiveCommand & { end: number; keys: number; readonly sinceMs: number; told: boolean };

/** Finds in passing what destroys: allocates nothing for any other command. */
export class DestructiveFinder {
  readonly #found: DestructiveCommand[] = [];
  readonly #options: FinderOptions;
  /** Keys of the data set before the removals, by the last answer of the server. */
  #keysBefore: number;
  #mass: Mass | undefined;

  constructor(options: FinderOptions) {
    this.#options = options;
    this.#keysBefore = options.keys;
  }

  /** @param expired keys that expired since the last time: they stand in the file as DEL or UNLINK */
  dataSet(keys: number, expired: number): void {
    const mass = this.#mass;
    if (!mass) {
      this.#keysBefore = keys;
      return;
    }
    mass.keys = Math.max(0, mass.keys - expired);
    // Not while it is counted: then it would have keys that expired.
    if (this.#isMass(mass)) this.#tell(mass);
  }

  command(command: AofCommand): void {
    const length = command.held === 0 ? 0 : command.argumentEnd[0]! - command.argumentStart[0]!;
    if (length !== 8 && length !== 7 && length !== 6 && length !== 3) return;
    const start = command.transactionAt < 0 ? command.start : command.transactionAt;
    const { end, db: database } = command;
    for (const name of flushes) {
      if (!command.is(name)) continue;
      const found = { start, end, timeMs: this.#options.seenAt(start), database, command: name.toUpperCase() };
      this.#found.push(found);
      this.#options.told(found);
      return;
    }
    for (const name of removals) {
      if (!command.is(name)) continue;
      const now = this.#options.now();
      if (this.#mass && now - this.#mass.sinceMs > this.#options.massMs) this.#endMass();
      this.#mass ??= {
        ...{ start, end, timeMs: this.#options.seenAt(start), database, command: name.toUpperCase() },
        ...{ keys: 0, sinceMs: now, told: false },
      };
      this.#mass.keys += command.argc - 1;
      this.#mass.end = end;
      return;
    }
  }

  /** What was found and is wholly before `end`; a mass removal that goes on is told when its time is over. */
  takeBefore(end: number): DestructiveCommand[] {
    if (this.#mass && this.#options.now() - this.#mass.sinceMs > this.#options.massMs) this.#endMass();
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
    if (!mass || !this.#isMass(mass)) return;
    this.#tell(mass);
    this.#found.push(withoutState(mass));
    this.#found.sort((a, b) => a.end - b.end);
  }

  #isMass({ keys }: { keys: number }): boolean {
    return keys >= this.#options.massKeys && keys >= this.#options.massShare * this.#keysBefore;
  }

  #tell(mass: Mass): void {
    if (!mass.told) this.#options.told(withoutState(mass));
    mass.told = true;
  }
}

const withoutState = ({ sinceMs: _, told: __, ...found }: Mass): DestructiveCommand => found;

/** As the archive records it. @param fileStart position of the file's first byte */
export function eventOf(fileStart: number, { start, end, timeMs, command, database, keys }: DestructiveCommand) {
  return {
    ...{ kind: 'destructive' as const, position: fileStart + start, timeMs, command, database },
    until: { position: fileStart + end, timeMs },
    ...(keys === undefined ? {} : { keys }),
  };
}
