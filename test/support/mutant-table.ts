import { isDeepStrictEqual } from 'node:util';
import type { Verdict } from './dump-judge.ts';
import type { MutantNews } from './mutant-reader-main.ts';
import type { MutantReading } from './mutant-reading.ts';

interface Judged {
  readonly number: number;
  readonly how: string;
  readonly reading: MutantReading;
  readonly verdict: Verdict;
  /** Of a server that looks into every value (sanitize-dump-payload yes). */
  readonly closely: Verdict | undefined;
}

type Keep = (why: string) => Promise<void>;

/** What came of mutants, and where the reader and a real server do not say the same. */
export class MutantTable {
  /** Each is a defect. */
  readonly faults: string[] = [];
  readonly #seed: number;
  readonly #codes = new Map<string, number>();
  readonly #causes = new Map<string, number>();
  readonly #puts = new Map<string, number>();
  readonly #laxer = new Map<string, number>();
  #mutants = 0;
  #judgedAccepted = 0;
  #agreed = 0;
  #closely = 0;
  #closelyAgreed = 0;
  #judgedOthers = 0;
  #othersRefused = 0;
  #slowestMs = 0;
  #rss = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  read({ readings, slowestMs, rss }: MutantNews): void {
    this.#mutants += readings.length;
    for (const { code } of readings) count(this.#codes, code);
    this.#slowestMs = Math.max(this.#slowestMs, slowestMs);
    this.#rss = Math.max(this.#rss, rss);
  }

  async put(
    number: number,
    outcome: string | Readonly<Record<string, number>>,
    there: Readonly<Record<string, number>>,
    reading: MutantReading,
    keep: Keep,
  ): Promise<void> {
    if (typeof outcome === 'string') {
      count(this.#puts, outcome);
      return;
    }
    count(this.#puts, 'put');
    if (isDeepStrictEqual({ ...outcome }, { ...there })) return;
    await keep('put');
    this.faults.push(
      `mutant ${number} (${reading.code}): put ${JSON.stringify(outcome)}, the server has ${JSON.stringify(there)}`,
    );
  }

  async judge({ number, how, reading, verdict, closely }: Judged, keep: Keep): Promise<void> {
    if (reading.code !== 'accepted') {
      this.#judgedOthers++;
      if (verdict.loaded) count(this.#laxer, reading.code);
      else this.#othersRefused++;
      return;
    }
    this.#judgedAccepted++;
    // Whether a library's text compiles only a server can tell; a doubt of that explains nothing else.
    const library = 'a function library';
    const doubtOf = (said: Verdict) =>
      !said.loaded && /librar|function/i.test(said.words) && reading.doubts.includes(library)
        ? library
        : reading.doubts.find((each) => each !== library);
    const agrees = (said: Verdict) => said.loaded && isDeepStrictEqual(said.keysByDatabase, reading.keysByDatabase);
    if (agrees(verdict)) this.#agreed++;
    else {
      const said = saidOf(verdict);
      const doubt = doubtOf(verdict);
      count(this.#causes, `${doubt ?? 'NOT KNOWN'} | ${said}`);
      if (doubt === undefined) {
        await keep('plain');
        this.faults.push(`mutant ${number} (${how}): ${said}; counted ${JSON.stringify(reading.keysByDatabase)}`);
      }
    }
    if (closely === undefined) return;
    this.#closely++;
    if (agrees(closely)) this.#closelyAgreed++;
    else if (doubtOf(closely) === undefined) {
      await keep('strict');
      this.faults.push(`mutant ${number} (${how}), looked at closely: ${saidOf(closely)}`);
    }
  }

  text(): string {
    return [
      `mutants ${this.#mutants} (seed ${this.#seed}); slowest ${this.#slowestMs.toFixed(0)} ms, most memory ${Math.round(this.#rss / 2 ** 20)} MiB`,
      ...lines('read', this.#codes),
      `judged ${this.#judgedAccepted} accepted: ${this.#agreed} agreed; ${this.#closelyAgreed} of ${this.#closely} looked at closely`,
      ...lines('accepted, but the server does not agree: what was doubted | what it said', this.#causes),
      `judged ${this.#judgedOthers} others: ${this.#othersRefused} refused by the server as well`,
      ...lines('refused, but the server loads', this.#laxer),
      ...lines('put into a live server', this.#puts),
      `faults ${this.faults.length}`,
      ...this.faults.slice(0, 30).map((fault) => `  ${fault}`),
    ].join('\n');
  }
}

function saidOf(verdict: Verdict): string {
  if (verdict.loaded) return `loaded ${JSON.stringify(verdict.keysByDatabase)}`;
  // Names, numbers and what the server adds for its own developers differ from one to the next.
  return verdict.words
    .replace(/offset \d+, function at /, '')
    .replace(/; (Short read|!!!|Guru|Redis version|Redis \d).*/, '')
    .replace(/'[^']*'|near '.*|\d+/g, '…')
    .replace(/key (?!…).* in DB/, 'key … in DB')
    .slice(0, 120);
}

function count(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function lines(title: string, counts: ReadonlyMap<string, number>): string[] {
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  return [`${title}:`, ...sorted.slice(0, 40).map(([name, number]) => `  ${String(number).padStart(7)}  ${name}`)];
}
