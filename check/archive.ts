import type { FollowFigures } from '../archive/follow/follow-options.ts';
import type { Finding } from './finding.ts';
import type { HostFacts } from './host-facts.ts';
import type { Observed } from './observed.ts';
import { configSet, redisCli } from './redis-cli.ts';
import type { RedisFacts } from './redis-facts.ts';
import { shellWord } from './shell-word.ts';
import { bytesInWords, durationInWords } from './words.ts';

/** What Temporal says of the run that archives the instance. */
export interface ArchiveFacts {
  readonly running: boolean;
  /** As its last heartbeat told them; absent before the first. */
  readonly figures?: FollowFigures;
  /** Since that heartbeat. */
  readonly ageMs?: number;
}

/** Slower than any heartbeat: nobody follows. */
const silentMs = 120_000;

/** How much would be lost with the host now, in ms; undefined where nothing is known. */
export function archiveLagMs({ running, figures, ageMs = 0 }: ArchiveFacts): number | undefined {
  if (!running || !figures || ageMs > silentMs) return undefined;
  if (figures.state !== 'following' && figures.state !== 'store') return undefined;
  return figures.lagMs + ageMs;
}

/** What the archive of an instance lacks. */
export function archiveFindings(
  redis: RedisFacts | undefined,
  host: HostFacts | undefined,
  observed: Observed,
): Finding[] {
  const { archive } = observed.policy;
  if (!archive) return [];
  return [
    ...(archive.from === 'file'
      ? [...(redis ? fileFindings(redis, observed) : []), ...spoolFindings(host, archive.spoolBytes)]
      : redis
        ? linkFindings(redis, observed)
        : []),
    ...(observed.archive ? followerFindings(observed.archive, observed) : []),
  ];
}

function fileFindings({ server, persistence }: RedisFacts, { url }: Observed): Finding[] {
  if (server.name === 'redis' && Number.parseInt(server.version, 10) < 7) {
    return [
      {
        code: 'ARCHIVE_OLD_SERVER',
        severity: 'error',
        consequence: `Redis ${server.version} keeps its append-only file in one piece, which every rewrite replaces: it cannot be followed, and no moment between two backups can be restored.`,
        fix: 'upgrade to Redis 7.0 or newer; until then rewind.yaml: archive: false, and a shorter backup.every',
      },
    ];
  }
  const findings: Finding[] = [];
  if (!persistence.appendOnly) {
    findings.push({
      code: 'ARCHIVE_AOF_OFF',
      severity: 'error',
      consequence:
        'The append-only file is off (appendonly no): nothing is archived, and no moment between two backups can be restored.',
      fix: 'rewind apply --enable-aof',
    });
  }
  if (persistence.appendStamps === false) {
    findings.push({
      code: 'ARCHIVE_NO_STAMPS',
      severity: 'warning',
      consequence:
        'The file carries no times (aof-timestamp-enabled no): of what is written while no agent looks it is not known when.',
      fix: configSet(url, 'aof-timestamp-enabled', 'yes'),
    });
  }
  if (persistence.appendOnly && persistence.appendFsync === 'no') {
    findings.push({
      code: 'ARCHIVE_FSYNC_NO',
      severity: 'warning',
      consequence:
        'The system decides when the file reaches the disk (appendfsync no): after a power failure up to half a minute of acknowledged writes that were not shipped yet is gone from it, too.',
      fix: configSet(url, 'appendfsync', 'everysec'),
    });
  }
  return findings;
}

/** A backlog that a busy server fills before a link is made again. */
const smallBacklogBytes = 16 * 1024 ** 2;

function linkFindings({ replication }: RedisFacts, { url, policy }: Observed): Finding[] {
  const findings: Finding[] = [];
  const { backlogBytes, replicaBufferLimit } = replication ?? {};
  if (backlogBytes !== undefined && backlogBytes < smallBacklogBytes) {
    findings.push({
      code: 'ARCHIVE_SMALL_BACKLOG',
      severity: 'warning',
      consequence: `Redis keeps the last ${bytesInWords(backlogBytes)} of its stream (repl-backlog-size): where more is written while the link is down, the archive of ${policy.instance} has a gap, and Redis has to save once more for its next base.`,
      fix: configSet(url, 'repl-backlog-size', '64mb'),
    });
  }
  if (replicaBufferLimit === 0) {
    findings.push({
      code: 'ARCHIVE_BUFFER_UNLIMITED',
      severity: 'warning',
      consequence:
        'What a replica does not read is kept in Redis’ memory without a limit (client-output-buffer-limit replica 0): where the archive’s process is stopped or its network hangs, Redis would run out of memory.',
      fix: `${redisCli(url)} CONFIG SET client-output-buffer-limit 'replica 256mb 64mb 60'`,
    });
  }
  return findings;
}

function spoolFindings(host: HostFacts | undefined, spoolBytes: number): Finding[] {
  const { freeBytes, dir = '.' } = host?.dump ?? {};
  if (freeBytes === undefined || freeBytes >= spoolBytes) return [];
  return [
    {
      code: 'ARCHIVE_SPOOL_DISK',
      severity: 'warning',
      consequence: `${bytesInWords(freeBytes)} are free where Redis writes, and ${bytesInWords(spoolBytes)} may be held there while the store does not answer (archive.spool): Redis would run out of disk first.`,
      fix: `df -h ${shellWord(dir)}, then make room or lower rewind.yaml: archive.spool`,
    },
  ];
}

function followerFindings(facts: ArchiveFacts, { policy }: Observed): Finding[] {
  const { running, figures, ageMs = 0 } = facts;
  const { rpoSeconds } = policy.objectives;
  const byFile = policy.archive?.from !== 'replication';
  if (!running) {
    return [
      {
        code: 'ARCHIVE_NOT_RUNNING',
        severity: 'error',
        consequence: 'The archive is on, and no run follows what is written: what is written now is in no archive.',
        fix: 'rewind apply',
      },
    ];
  }
  const findings: Finding[] = [];
  if (figures && figures.dropped > 0) {
    findings.push({
      code: 'ARCHIVE_LET_GO',
      severity: 'error',
      consequence: `The store did not take what was written, and more than ${bytesInWords(policy.archive?.spoolBytes ?? 0)} were held for it: ${byFile ? 'the oldest was let go' : 'what came then was not taken any more'}. Moments in that gap cannot be restored.`,
      fix: `rewind timeline ${policy.instance}`,
    });
  }
  if (!figures || ageMs > silentMs) {
    findings.push({
      code: 'ARCHIVE_SILENT',
      severity: 'error',
      consequence: `No ${byFile ? 'agent tells that it follows the append-only file' : 'worker tells that it follows the replication stream'}: what is written now is on Redis’ own disk only.`,
      fix:
        policy.source === 'agent'
          ? `rewind worker --role host --instance ${policy.instance}`
          : 'rewind worker --role orchestrator',
    });
    return findings;
  }
  const lagMs = archiveLagMs(facts);
  if (figures.state === 'damaged' || figures.state === 'waiting' || figures.state === 'off') {
    findings.push({
      code: 'ARCHIVE_STANDS_STILL',
      severity: 'error',
      consequence: `Nothing is archived: ${figures.note ?? figures.state}.`,
      fix:
        figures.state === 'damaged'
          ? 'redis-cli BGREWRITEAOF, after a look at the disk'
          : `rewind status ${policy.instance}`,
    });
  } else if (figures.state === 'store') {
    findings.push({
      code: 'ARCHIVE_STORE_DOWN',
      severity: 'error',
      consequence: `The store does not take what is written: ${bytesInWords(figures.unshippedBytes)} wait on ${byFile ? 'Redis’ disk' : 'the disk of who follows'} (${figures.note ?? 'no reason told'}).`,
      fix: `rewind check ${policy.instance}, once the store answers`,
    });
  } else if (rpoSeconds !== undefined && lagMs !== undefined && lagMs > rpoSeconds * 1_000) {
    findings.push({
      code: 'ARCHIVE_LAGS',
      severity: 'warning',
      consequence: `With the host, the last ${durationInWords(Math.ceil(lagMs / 1_000))} would be lost; the objective is ${durationInWords(rpoSeconds)}.`,
      fix: `rewind status ${policy.instance}; look at the network to the store, or lower rewind.yaml: archive.segmentEvery`,
    });
  }
  return findings;
}
