import { RewindError } from '../../errors/rewind-error.ts';
import type { RdbEntry } from '../../rdb/entry.ts';
import { hasOpcode, opcode } from '../../rdb/opcodes.ts';
import { isDecoded } from '../../rdb/types.ts';
import type { RdbVisitor } from '../../rdb/visitor.ts';
import { KeySet } from './key-set.ts';
import { isLibrary, isText, plausibleExpiry } from './record-probe.ts';
import { ValueCheck } from './value-check.ts';

/** A stretch of the file that is whole records of one database, nothing between them. */
export interface KeyRun {
  readonly db: number;
  readonly from: number;
  readonly to: number;
  readonly keys: number;
  readonly keysWithExpiry: number;
  readonly part: 'before' | 'after';
}

/** One record of a run's last ones. */
interface Taken {
  readonly start: number;
  readonly end: number;
  readonly expires: boolean;
  readonly odd: boolean;
  readonly hash: number | undefined;
}

interface OpenRun {
  db: number;
  from: number;
  to: number;
  keys: number;
  keysWithExpiry: number;
  part: 'before' | 'after';
  /** How much damage had been found when it began. */
  section: number;
  first: Taken;
  last: Taken[];
}

/** So many records before damage are looked at again: bytes of a value may have been taken for some of them. */
const remembered = 16;
/** What is usual among a dump's keys is known after so many. */
const learnedKeys = 1_000;
const mostFunctionBytes = 64 * 1024 * 1024;
const mostDatabases = 65_536;

export interface Cut {
  /** The records from here on are given up. */
  readonly from: number;
  readonly searchFrom: number;
  /** Offset of a record that is damaged inside of its value: its lengths may still lead behind it. */
  readonly damagedRecord?: number;
}

/**
 * Collects the records that can be taken from a damaged dump. What looks whole just before damage may not be: where a
 * length was damaged, bytes of a value are read as records until one makes no sense. So the last record before damage is
 * given up unless the damage clearly is inside of the next one's value, and with it records that look odd for this dump.
 */
export class RunCollector {
  aux: Record<string, string> = {};
  /** The database selected at the end of what was read. */
  db = 0;
  databaseGuessed = false;
  readonly functions: Buffer[] = [];
  readonly moduleAux = new Set<string>();
  readonly undecoded = new Set<string>();
  readonly #runs: OpenRun[] = [];
  readonly #seen = new KeySet();
  readonly #expected = new Map<number, number>();
  readonly #check = new ValueCheck();
  #section = 0;
  #selectedSince = true;
  #keys = 0;
  #oddKeys = 0;
  #functionBytes = 0;
  /** Nothing but libraries, fields and module data was read yet. */
  #beforeKeys = true;
  #sizesLost = false;
  /** A database was selected whose sizes did not come yet. */
  #sizesDue = false;
  /** The record at hand: its key was read. */
  #headed: { start: number; odd: boolean; hash: number | undefined } | undefined;

  /** @param shift what to add to the offsets that are told */
  visitor(shift: number, behindDamage: boolean): RdbVisitor {
    this.#sizesDue = false;
    let hasSizes = true;
    const part = behindDamage ? 'after' : 'before';
    let fault: string | undefined;
    let again = false;
    return {
      aux: (name, value) => {
        if (name !== 'lua') this.aux[name] = value;
      },
      header: (_magic, version) => {
        hasSizes = hasOpcode(version, opcode.resizeDb);
      },
      selectDb: (db) => {
        // Our own, put before the records that are read again; and that of the first database.
        if (db === this.db) return;
        // A server writes its databases in their order, each with its sizes.
        if (db < this.db || db > mostDatabases || this.#sizesDue) throw damaged('a database where none begins');
        this.#sizesDue = hasSizes;
        if (!hasSizes) this.#begin(db);
      },
      resizeDb: (db, keys) => {
        this.#sizesDue = false;
        if (db !== this.db) this.#begin(db);
        if (!this.#expected.has(db)) this.#expected.set(db, keys);
      },
      functionCode: () => {
        if (!this.#beforeKeys) throw damaged('a function library among the keys');
        const pieces: Buffer[] = [];
        return {
          piece: (bytes, start, end, last) => {
            this.#functionBytes += end - start;
            if (this.#functionBytes > mostFunctionBytes) throw damaged('a function library without an end');
            pieces.push(Buffer.from(bytes.subarray(start, end)));
            if (!last) return;
            const code = Buffer.concat(pieces);
            if (!isLibrary(code, 0, code.length)) throw damaged('a function library without its first line');
            this.functions.push(code);
          },
        };
      },
      moduleAux: (name) => this.moduleAux.add(name),
      // In what a redis-server has written it is a byte of something else; copied, it would end the server that loads it.
      enterpriseOnly: (offset) => {
        throw damaged('an opcode that no redis-server writes or reads', offset);
      },
      key: (entry) => {
        this.#beforeKeys = false;
        if (this.#sizesDue) throw damaged('a database without its sizes', entry.start);
        const odd = this.#isOdd(entry);
        this.#headed = undefined;
        const hash = this.#seen.add(entry.db, entry.keyBytes, entry.keyStart, entry.keyEnd);
        again = hash === undefined;
        // Behind damage a piece of the file may stand there a second time; zeroes are one empty key after the other.
        if (again && (odd || !behindDamage)) throw damaged('a key that stands in the dump twice', entry.start);
        this.#headed = { start: entry.start + shift, odd, hash };
        fault = undefined;
        if (!isDecoded(entry.type)) return null;
        this.#check.begin(entry.type, entry.typeCode);
        return this.#check;
      },
      keyEnd: (entry) => {
        if (isDecoded(entry.type)) fault = this.#check.fault;
        else this.undecoded.add(entry.type);
        if (fault !== undefined) throw damaged(fault, entry.start);
        if (!again) this.#take(entry, shift, part);
        this.#headed = undefined;
      },
    };
  }

  /** Reading stopped: gives up what cannot be trusted. @param begun where reading began */
  cutAt(error: RewindError | undefined, begun: number): Cut {
    const headed = this.#headed;
    this.#headed = undefined;
    const run = this.#runs.at(-1);
    const open = run !== undefined && run.section === this.#section ? run : undefined;
    const at = open?.to ?? begun;
    if (headed?.hash !== undefined) this.#seen.remove(headed.hash);
    // The file's end cuts off only what is at hand; a length that leads behind it looks the same.
    const cutOff = error?.code === 'RDB_TRUNCATED';
    const oddAt = open?.last.findIndex(({ odd }) => odd) ?? -1;
    let drop = oddAt < 0 ? 0 : (open as OpenRun).last.length - oddAt + 1;
    if (drop === 0 && (headed === undefined || headed.odd) && !cutOff) drop = 1;
    const from = drop === 0 ? (headed?.start ?? at) : this.#dropLast(drop, at);
    if (drop === 0 && headed !== undefined) {
      return { from, searchFrom: headed.start + 1, damagedRecord: headed.start };
    }
    return { from, searchFrom: Math.max(begun === 9 ? 9 : begun + 1, from === 9 ? 9 : from + 1) };
  }

  /** Records were found again behind the damage. */
  damaged(): void {
    this.#section++;
    this.#selectedSince = false;
  }

  /** True where the dump's keys are text, but for a few. */
  get keysAreText(): boolean {
    return this.#oddKeys * 20 < this.#keys;
  }

  /** True where as many keys were read as the dump says it holds, or it does not say. */
  get complete(): boolean {
    const read = this.#runs.reduce((sum, { keys }) => sum + keys, 0);
    return read >= [...this.#expected.values()].reduce((sum, keys) => sum + keys, 0);
  }

  finish(): { runs: KeyRun[]; expected: number | undefined } {
    this.#dropMoreThanThereWere();
    const expected = [...this.#expected.values()].reduce((sum, keys) => sum + keys, 0);
    const runs = this.#runs
      .filter(({ keys }) => keys > 0)
      .map(({ first: _first, last: _last, section: _s, ...run }) => run);
    return { runs, expected: this.#expected.size === 0 || this.#sizesLost ? undefined : expected };
  }

  #begin(db: number): void {
    this.#selectedSince = true;
    this.db = db;
  }

  #take(entry: RdbEntry, shift: number, part: 'before' | 'after'): void {
    const { odd, hash } = this.#headed!;
    const taken = { start: entry.start + shift, end: entry.end + shift, expires: entry.expireAtMs >= 0, odd, hash };
    if (!this.#selectedSince) this.databaseGuessed ||= this.#expected.size > 1;
    let run = this.#runs.at(-1);
    if (run === undefined || run.db !== entry.db || run.to !== taken.start || run.section !== this.#section) {
      const section = this.#section;
      run = {
        db: entry.db,
        from: taken.start,
        to: taken.start,
        keys: 0,
        keysWithExpiry: 0,
        part,
        section,
        first: taken,
        last: [],
      };
      this.#runs.push(run);
    }
    run.to = taken.end;
    run.keys++;
    if (taken.expires) run.keysWithExpiry++;
    run.last.push(taken);
    if (run.last.length > remembered) run.last.shift();
  }

  /** @returns where the given up records begin */
  #dropLast(drop: number, at: number): number {
    const run = this.#runs.at(-1);
    if (run === undefined || run.section !== this.#section) return at;
    let from = at;
    for (let i = 0; i < drop; i++) {
      const taken = run.last.pop();
      if (taken === undefined) break;
      if (taken.hash !== undefined) this.#seen.remove(taken.hash);
      from = taken.start;
      run.to = taken.start;
      run.keys--;
      if (taken.expires) run.keysWithExpiry--;
    }
    return from;
  }

  /**
   * Where damage is in a database, at least one key is lost: if as many as it held or more seem to be there, some are none,
   * and these are next to the damage, on one side or the other.
   */
  #dropMoreThanThereWere(): void {
    if (this.#section === 0) return;
    for (const [db, expected] of this.#expected) {
      const runs = this.#runs.filter((run) => run.db === db && run.keys > 0);
      const gaps = runs.slice(1).filter((run, i) => run.section !== runs[i]!.section).length;
      let excess = runs.reduce((sum, { keys }) => sum + keys, 0) - expected + gaps;
      if (gaps === 0 || excess <= 0) continue;
      if (excess > remembered) {
        // Far more than it held: the beginning of another database is lost, and with it how many keys that held.
        this.databaseGuessed = true;
        this.#sizesLost = true;
        continue;
      }
      for (const [i, run] of runs.entries()) {
        const next = runs[i + 1];
        if (next === undefined || next.section === run.section || excess <= 0) continue;
        excess -= 1;
        this.#dropFirst(next);
        const taken = run.last.pop();
        if (taken === undefined) continue;
        run.to = taken.start;
        run.keys--;
        if (taken.expires) run.keysWithExpiry--;
      }
    }
  }

  #dropFirst(run: OpenRun): void {
    run.from = run.first.end;
    run.keys--;
    if (run.first.expires) run.keysWithExpiry--;
  }

  /** Odd: an empty key, bytes that are no text among keys that are text, an expiry of another millennium. */
  #isOdd(entry: RdbEntry): boolean {
    if (entry.keyStart === entry.keyEnd) return true;
    if (entry.expireAtMs !== -1 && !plausibleExpiry(entry.expireAtMs)) return true;
    const text = isText(entry.keyBytes, entry.keyStart, entry.keyEnd);
    if (this.#keys < learnedKeys) {
      this.#keys++;
      if (!text) this.#oddKeys++;
    }
    return !text && this.keysAreText;
  }
}

function damaged(what: string, offset = 0): RewindError {
  return new RewindError('RDB_CORRUPT', what, { details: { offset } });
}
