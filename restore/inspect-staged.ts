import type { StepIO } from '../process/step-io.ts';
import type { RdbEntry } from '../rdb/entry.ts';
import type { RdbMagic } from '../rdb/magic.ts';
import { hasFieldExpiries, isDecoded } from '../rdb/types.ts';
import type { RdbVisitor } from '../rdb/visitor.ts';
import { isUnknown, walkRdb } from '../rdb/walk.ts';
import { expiryToPut, type TtlMode } from './keys/expiry-rule.ts';
import { type KeySelection, KeySelector } from './keys/key-selection.ts';
import type { StagedFacts } from './staged-facts.ts';

/**
 * One pass over a dump on this machine's disk: what of it is meant, and what could stand in the way of putting it into a
 * server. Between two blocks the event loop runs.
 *
 * @param nowMs the target's clock, Unix ms: what has expired by then is counted
 * @throws what `walkRdb` throws, but for a type that it does not know: that is named in `undecodable`
 */
export async function inspectStaged(
  path: string,
  wanted: { readonly selection: KeySelection; readonly ttl: TtlMode; readonly shiftMs: number; readonly nowMs: number },
  io: StepIO,
): Promise<Omit<StagedFacts, 'cannotSay'>> {
  const tally = new StagedTally(await KeySelector.open(wanted.selection), (expireAtMs) => {
    const at = expiryToPut(expireAtMs, wanted.ttl, wanted.shiftMs);
    return at >= 0 && at <= wanted.nowMs;
  });
  try {
    await walkRdb({ path }, tally, {
      signal: io.signal,
      onProgress: (done, total) => io.onProgress({ phase: 'inspect', done, total, unit: 'bytes' }),
    });
  } catch (error) {
    if (!isUnknown(error)) throw error;
    tally.undecodable.add(error.message);
  }
  return tally.facts();
}

class StagedTally implements RdbVisitor {
  readonly undecodable = new Set<string>();
  readonly #selector: KeySelector;
  readonly #hasExpired: (expireAtMs: number) => boolean;
  #keys = 0;
  #expired = 0;
  #largestValueBytes = 0;
  #largestKeyOffset = -1;
  #usedMemoryBytes = 0;
  #isSelected = false;
  #magic: RdbMagic = 'REDIS';
  #hashesWithFieldExpiries = 0;

  constructor(selector: KeySelector, hasExpired: (expireAtMs: number) => boolean) {
    this.#selector = selector;
    this.#hasExpired = hasExpired;
  }

  header(magic: RdbMagic): void {
    this.#magic = magic;
  }

  aux(name: string, value: string): void {
    if (name === 'used-mem') this.#usedMemoryBytes = Number(value) || 0;
  }

  key(entry: RdbEntry): null {
    this.#isSelected = this.#selector.has(entry.db, entry.keyBytes, entry.keyStart, entry.keyEnd);
    return null;
  }

  keyEnd(entry: RdbEntry): void {
    if (!this.#isSelected) return;
    if (entry.expireAtMs !== -1 && this.#hasExpired(entry.expireAtMs)) this.#expired++;
    else this.#keys++;
    if (hasFieldExpiries(this.#magic, entry.typeCode)) this.#hashesWithFieldExpiries++;
    const bytes = entry.end - entry.valueStart;
    if (bytes > this.#largestValueBytes) {
      this.#largestValueBytes = bytes;
      this.#largestKeyOffset = entry.start;
    }
    // A module's value goes as it is; of an array not even the server's own type is known everywhere.
    if (!isDecoded(entry.type) && entry.type !== 'module') this.undecodable.add(entry.type);
  }

  facts(): Omit<StagedFacts, 'cannotSay'> {
    return {
      selected: { keys: this.#keys, expired: this.#expired },
      largestValueBytes: this.#largestValueBytes,
      largestKeyOffset: this.#largestKeyOffset,
      usedMemoryBytes: this.#usedMemoryBytes,
      undecodable: [...this.undecodable],
      hashesWithFieldExpiries: this.#hashesWithFieldExpiries,
    };
  }
}
