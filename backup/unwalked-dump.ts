import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { RewindError } from '../errors/rewind-error.ts';
import { readLeadingAux } from '../rdb/leading-aux.ts';
import type { Check } from '../sandbox/check.ts';
import { type DumpFacts, originOf } from '../sandbox/dump-facts.ts';
import type { CheckedDump } from './check-dump.ts';
import type { PinnedBytes } from './pin.ts';

/** What the reader does not know is no damage: a newer server wrote it. The sandbox's server has to tell. */
const NOT_KNOWN = new Set(['RDB_TYPE_UNKNOWN', 'RDB_VERSION_UNKNOWN']);
const DAMAGED = new Set([
  'RDB_NOT_A_DUMP',
  'RDB_TRUNCATED',
  'RDB_CORRUPT',
  'RDB_CHECKSUM_WRONG',
  'RDB_TRAILING_BYTES',
  'RDB_STRING_TOO_LONG',
]);

/**
 * What can be said of a dump that the reader could not walk to its end. A damaged one is kept as evidence and fails; one
 * of a type or version that is not known is kept and stays unproven.
 *
 * @throws the error itself where it says nothing of the dump's bytes
 */
export async function unwalkedDump(bytes: PinnedBytes, error: unknown): Promise<CheckedDump> {
  if (!(error instanceof RewindError) || !(NOT_KNOWN.has(error.code) || DAMAGED.has(error.code))) throw error;
  return { facts: await bareFacts(bytes), checks: [unwalkedCheck(error)] };
}

/** The check that an error of the reader stands for. */
export function unwalkedCheck({ code, message, details }: RewindError): Check {
  return {
    name: 'values',
    result: NOT_KNOWN.has(code) ? 'not-possible' : 'contradicted',
    detail: `${NOT_KNOWN.has(code) ? 'the reader does not know all of it' : 'the dump is damaged'}: ${message}`,
    figures: { code, offset: Number(details.offset ?? 0) },
  };
}

async function bareFacts(bytes: PinnedBytes): Promise<DumpFacts> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const stream = createReadStream(
    'path' in bytes ? bytes.path : '',
    'fd' in bytes ? { fd: bytes.fd, autoClose: false, start: 0 } : {},
  );
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    hash.update(chunk);
    sizeBytes += chunk.length;
  }
  const aux = await readLeadingAux(bytes).catch(() => ({}) as Record<string, string>);
  return unwalkedFacts(aux, sizeBytes, hash.digest('hex'));
}

/** Facts of a dump of which only the bytes are known; no count in them is one. */
export function unwalkedFacts(aux: Readonly<Record<string, string>>, sizeBytes: number, sha256: string): DumpFacts {
  return {
    walked: false,
    magic: aux['valkey-ver'] ? 'VALKEY' : 'REDIS',
    rdbVersion: 0,
    sizeBytes,
    sha256,
    origin: originOf(aux),
    ctime: aux.ctime === undefined ? undefined : Number(aux.ctime),
    usedMemoryBytes: Number(aux['used-mem'] ?? 0),
    keys: 0,
    keysByDatabase: {},
    highestDatabase: 15,
    keysWithExpiry: 0,
    types: {},
    functionLibraries: 0,
    modules: [],
    undecoded: [],
  };
}
