import type { Finding } from './finding.ts';
import type { DumpPlaceFacts } from './host-facts.ts';
import type { Observed } from './observed.ts';
import type { RedisFacts } from './redis-facts.ts';
import { shellWord } from './shell-word.ts';
import { bytesInWords } from './words.ts';

/** The folder that Redis writes its dump to, as the agent finds it. */
export function dumpPlaceFindings(
  { memory }: RedisFacts,
  { dir, readable, freeBytes, last, holdsRepository }: DumpPlaceFacts,
  { policy }: Observed,
): Finding[] {
  const asOwner = `sudo -u "$(stat -c %U ${shellWord(dir)})" rewind worker --role host --instance ${policy.instance}`;
  if (!readable) {
    return [
      {
        code: 'DUMP_FOLDER_UNREADABLE',
        severity: 'warning',
        consequence: `The agent cannot read ${dir}, where Redis saves: each backup is taken by replication instead, the whole data over the network.`,
        fix: asOwner,
      },
    ];
  }
  const findings: Finding[] = [];
  if (last && !last.readable) {
    findings.push({
      code: 'DUMP_UNREADABLE',
      severity: 'error',
      consequence: `The agent may not read the dump in ${dir}: it belongs to another user. No backup can be taken.`,
      fix: asOwner,
    });
  } else if (last && !last.linkable) {
    findings.push({
      code: 'DUMP_OF_ANOTHER_USER',
      severity: 'info',
      consequence:
        'The agent may not hard-link the dump (fs.protected_hardlinks): it holds it open, and a backup starts anew when the agent is restarted in the middle.',
      fix: asOwner,
    });
  }
  if (freeBytes !== undefined && freeBytes < (last?.sizeBytes ?? 1)) {
    findings.push({
      code: 'DUMP_DISK_FULL',
      severity: 'error',
      consequence: `The disk of ${dir} has ${bytesInWords(freeBytes)} free${last ? `, the last dump took ${bytesInWords(last.sizeBytes)}` : ''}: a save fails.`,
      fix: `df -h ${shellWord(dir)}`,
    });
  } else if (freeBytes !== undefined && freeBytes < memory.datasetBytes) {
    findings.push({
      code: 'DUMP_DISK_LOW',
      severity: 'warning',
      consequence: `The disk of ${dir} has ${bytesInWords(freeBytes)} free and the data takes ${bytesInWords(memory.datasetBytes)} of memory: a save may fail.`,
      fix: `df -h ${shellWord(dir)}`,
    });
  }
  if (holdsRepository) {
    findings.push({
      code: 'REPOSITORY_ON_REDIS_DISK',
      severity: 'warning',
      consequence: `The repository is on the disk that Redis saves to (${dir}): when the disk is lost, the backups are lost with it, and they fill it.`,
      fix: 'rewind.yaml: let repository.url name a folder on another disk, or s3://bucket/prefix',
    });
  }
  return findings;
}
