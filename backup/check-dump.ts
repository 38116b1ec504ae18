import type { StepIO } from '../process/step-io.ts';
import { inspectRdb } from '../rdb/inspect.ts';
import type { RdbInspection } from '../rdb/inspection.ts';
import type { Check } from '../sandbox/check.ts';
import { type DumpFacts, factsOf } from '../sandbox/dump-facts.ts';
import type { PinnedBytes } from './pin.ts';
import { unwalkedDump } from './unwalked-dump.ts';
import { walkedAhead } from './walk-ahead.ts';

export interface CheckedDump {
  readonly facts: DumpFacts;
  readonly checks: Check[];
}

/**
 * Walks the pinned bytes: counts, checksum and digest in one pass, where that was not done while they were written. Damage
 * is a contradiction, with its byte.
 */
export async function checkDump(
  backupId: string,
  bytes: PinnedBytes,
  startedAt: number,
  io: StepIO,
): Promise<CheckedDump> {
  let inspection: RdbInspection;
  try {
    inspection =
      (await walkedAhead(backupId, bytes, io.signal)) ??
      (await inspectRdb(bytes, {
        signal: io.signal,
        onProgress: (done, total) => io.onProgress({ phase: 'walk', done, total, unit: 'bytes' }),
      }));
  } catch (error) {
    return unwalkedDump(bytes, error);
  }
  return { facts: factsOf(inspection), checks: dumpChecks(inspection, startedAt) };
}

/** What the dump says of itself, judged. Redis' own status never decides: it says ok of a dump that FLUSHALL emptied. */
export function dumpChecks(inspection: RdbInspection, startedAt: number): Check[] {
  const ctime = Number(inspection.aux.ctime);
  const stated = inspection.databases.some(({ resizeDbKeys }) => resizeDbKeys !== undefined);
  return [
    ctime >= startedAt
      ? {
          name: 'ctime',
          result: 'ok',
          detail: 'the dump was begun after it was asked for, by Redis’ clock',
          figures: { ctime, startedAt },
        }
      : {
          name: 'ctime',
          result: 'contradicted',
          detail: 'the dump is older than the save',
          figures: { ctime, startedAt },
        },
    inspection.crc === 'ok'
      ? { name: 'crc64', result: 'ok', detail: 'the dump’s CRC-64 is right' }
      : {
          name: 'crc64',
          result: 'not-possible',
          detail: 'the server writes dumps without a checksum (rdbchecksum no)',
        },
    resizeDbCheck(inspection, stated),
  ];
}

function resizeDbCheck(inspection: RdbInspection, stated: boolean): Check {
  const figures = Object.fromEntries(inspection.databases.map(({ db, keys }) => [`db${db}`, keys]));
  if (!inspection.resizeDbMatches) {
    return {
      name: 'resizedb',
      result: 'contradicted',
      detail: 'the dump holds another number of keys than it states',
      figures,
    };
  }
  if (!stated && inspection.keys > 0) {
    return {
      name: 'resizedb',
      result: 'not-possible',
      detail: 'the dump does not state how many keys it holds',
      figures,
    };
  }
  return {
    name: 'resizedb',
    result: 'ok',
    detail: `the dump holds the ${inspection.keys} keys that it states`,
    figures,
  };
}
