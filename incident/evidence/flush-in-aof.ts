import { stat } from 'node:fs/promises';
import type { AofCommand } from '../../aof/command.ts';
import { scanAof } from '../../aof/scan.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { aofPaths } from '../crash/local-aof.ts';
import type { LocalSettings } from '../crash/local-settings.ts';
import { timeWords } from '../crash/words.ts';
import { flushCommands } from './destructive.ts';

/** A flush as it stands in the append-only file. */
export interface FlushInAof {
  readonly command: string;
  /** The database that was selected; FLUSHALL empties all. */
  readonly db: number;
  readonly file: string;
  /** Byte of the command, or of the MULTI that it is in: a cut there leaves it out and keeps all before. */
  readonly cutAt: number;
  /** Not before and not after, ISO 8601, where the file has `#TS` lines (aof-timestamp-enabled). */
  readonly notBefore?: string;
  readonly notAfter?: string;
}

/** What the append-only file says of flushes and deletes. Plain data without names of keys. */
export interface AofEvidence {
  /** The last ones, in their order. */
  readonly flushes: readonly FlushInAof[];
  /** All that there are. */
  readonly flushCount: number;
  /** Keys that DEL and UNLINK named, by database; expiries and evictions are written as such, too. */
  readonly deletedKeys: Readonly<Record<string, number>>;
  readonly sentences: readonly string[];
  readonly unknown: readonly string[];
}

/** An application that flushes every minute must not fill a history. */
const SHOWN = 20;

/**
 * Looks for flushes in the append-only file of a server, running or not: the exact place, and with timestamps the
 * second. What a rewrite has taken out is not there any more. Reads only, in slices.
 */
export async function flushesInAof(settings: LocalSettings, io: StepIO): Promise<AofEvidence> {
  if (!settings.appendonly) return nothing('when it was, by the append-only file: it is off');
  const { form, paths, manifestDamage } = await aofPaths(settings);
  if (form === 'missing' || paths.length === 0) {
    return nothing(`when it was, by the append-only file: ${manifestDamage ?? 'there is none'}`);
  }
  const found = new FlushFinder();
  const unknown: string[] = [];
  for (const path of paths) {
    found.begin(path.slice(path.lastIndexOf('/') + 1));
    try {
      await scanAof({ path }, found, {
        signal: io.signal,
        onProgress: (done, total) => io.onProgress({ phase: 'scan', done, ...(total ? { total } : {}), unit: 'bytes' }),
      });
    } catch (error) {
      if (!(error instanceof RewindError) || error.code === 'AOF_CANCELLED' || error.code === 'RDB_CANCELLED')
        throw error;
      // Of a running server the last command may be half written: all before it was seen.
      if (error.code !== 'AOF_TRUNCATED' || path !== paths.at(-1))
        unknown.push(`what stands behind the damage in the append-only file: ${error.message}`);
    }
  }
  const rewrittenAt = await stat(paths[0]!).then(
    ({ mtime }) => mtime.toISOString(),
    () => undefined,
  );
  const { flushes, count, deletedKeys, hasTimes } = found;
  return {
    flushes,
    flushCount: count,
    deletedKeys,
    sentences:
      flushes.length === 0
        ? ['The append-only file has no FLUSHALL, FLUSHDB or SWAPDB.']
        : flushes.slice(-3).map(sentenceOf),
    unknown: [
      ...unknown,
      ...(flushes.length > 0 && !hasTimes
        ? ['the second of the flush: the append-only file has no timestamps (aof-timestamp-enabled no)']
        : []),
      ...(paths.length > 1 && rewrittenAt
        ? [`what ran before the append-only file was rewritten at about ${timeWords(rewrittenAt)}`]
        : []),
    ],
  };
}

class FlushFinder {
  readonly flushes: FlushInAof[] = [];
  readonly deletedKeys: Record<string, number> = {};
  count = 0;
  hasTimes = false;
  #file = '';
  #second: number | undefined;
  /** Flushes since the last `#TS`: the next one bounds them. */
  #open = 0;

  begin(file: string): void {
    this.#file = file;
  }

  command(command: AofCommand): void {
    if (command.is('del') || command.is('unlink')) {
      this.deletedKeys[command.db] = (this.deletedKeys[command.db] ?? 0) + command.argc - 1;
      return;
    }
    const name = flushCommands.find((each) => command.is(each));
    if (name === undefined) return;
    this.count += 1;
    if (this.flushes.length === SHOWN) this.flushes.shift();
    this.flushes.push({
      command: name,
      db: command.db,
      file: this.#file,
      cutAt: command.transactionAt >= 0 ? command.transactionAt : command.start,
      ...(this.#second === undefined ? {} : { notBefore: timeOf(this.#second) }),
    });
    this.#open = Math.min(this.#open + 1, SHOWN);
  }

  timestamp(seconds: number): void {
    this.hasTimes = true;
    this.#second = seconds;
    for (let index = this.flushes.length - this.#open; index < this.flushes.length; index += 1) {
      this.flushes[index] = { ...this.flushes[index]!, notAfter: timeOf(seconds) };
    }
    this.#open = 0;
  }
}

const timeOf = (seconds: number): string => new Date(seconds * 1000).toISOString();

function sentenceOf({ command, db, file, cutAt, notBefore, notAfter }: FlushInAof): string {
  const when = notBefore
    ? `, ${notAfter ? `between ${timeWords(notBefore)} and ${timeWords(notAfter)}` : `at or after ${timeWords(notBefore)}`}`
    : '';
  return `${command.toUpperCase()}${command === 'flushdb' ? ` of database ${db}` : ''} stands in ${file} at byte ${cutAt}${when}.`;
}

function nothing(why: string): AofEvidence {
  return { flushes: [], flushCount: 0, deletedKeys: {}, sentences: [], unknown: [why] };
}
