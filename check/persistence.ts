import type { Finding } from './finding.ts';
import type { HostFacts } from './host-facts.ts';
import type { Observed } from './observed.ts';
import { configSet } from './redis-cli.ts';
import type { RedisFacts } from './redis-facts.ts';
import { shellWord } from './shell-word.ts';

/** What Redis keeps by itself, and what its last save says of the next one. */
export function persistenceFindings(
  { persistence, topology }: RedisFacts,
  host: HostFacts | undefined,
  { policy, url }: Observed,
): Finding[] {
  const { appendOnly, savePoints, stopsWritesOnSaveError, writesChecksum, lastSave, lastAppend } = persistence;
  const findings: Finding[] = [];
  // Redis refuses writes after a failed save only where it saves by itself, too (config.c: saveparams).
  const stops = stopsWritesOnSaveError === true && savePoints !== '';

  if (lastSave === 'err') {
    const why = host?.lastSaveFailure ? ` Redis’ log says: ${host.lastSaveFailure}.` : '';
    const now = stops ? ' Until a save succeeds Redis refuses all writes (MISCONF).' : '';
    findings.push({
      code: 'LAST_SAVE_FAILED',
      severity: 'error',
      consequence: `The last save failed.${why}${now} A backup is tried all the same, and clears it when it succeeds.`,
      fix: `rewind backup ${policy.instance}`,
    });
  }
  if (lastAppend === 'err') {
    findings.push({
      code: 'APPEND_FAILED',
      severity: 'error',
      consequence: 'Redis could not write its append-only file: it refuses writes (MISCONF) until it can.',
      fix: `df -h ${shellWord(host?.dump?.dir ?? '.')}`,
    });
  }
  if (writesChecksum === false) {
    findings.push({
      code: 'CHECKSUM_OFF',
      severity: 'warning',
      consequence:
        'Dumps carry no CRC-64 (rdbchecksum no): damage cannot be ruled out, so every backup stays unproven.',
      fix: 'redis.conf: rdbchecksum yes, then restart Redis',
    });
  }
  if (!appendOnly && savePoints === '') {
    const wipes = topology.replicas.length > 0 ? ' Restarted empty, this primary wipes its replicas as well.' : '';
    findings.push({
      code: 'PERSISTENCE_OFF',
      severity: policy.dataClass === 'cache' ? 'info' : 'warning',
      consequence: `Redis saves nothing by itself (no save points, no append-only file): after a crash all that was written since the last backup is lost.${wipes}`,
      fix: configSet(url, 'appendonly', 'yes'),
    });
  }
  if (stops && lastSave === 'ok') {
    findings.push({
      code: 'STOPS_WRITES_ON_SAVE_ERROR',
      severity: 'info',
      consequence:
        'stop-writes-on-bgsave-error is on: a save that fails, for a backup too, stops all writes until one succeeds.',
      fix: configSet(url, 'stop-writes-on-bgsave-error', 'no'),
    });
  }
  return findings;
}
