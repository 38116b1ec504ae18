import type { MemoryFacts } from '../redis/host-memory.ts';
import type { Finding } from './finding.ts';
import type { Observed } from './observed.ts';
import { configSet } from './redis-cli.ts';
import type { RedisFacts } from './redis-facts.ts';
import { bytesInWords } from './words.ts';

/**
 * Whether the machine can carry a save: Redis forks, and every page that is written to meanwhile is there twice.
 *
 * @see https://redis.io/docs/latest/operate/oss_and_stack/management/admin/
 */
export function forkFindings(
  { memory: { rssBytes }, disablesHugePages }: RedisFacts,
  { availableBytes, limit, overcommit, commitLeftBytes, hugePages }: MemoryFacts,
  { url }: Observed,
): Finding[] {
  const findings: Finding[] = [];
  const short = availableBytes < rssBytes / 2;
  if (short) {
    const left = limit
      ? `its control group ${limit.group} may take ${bytesInWords(limit.limitBytes)}, of which ${bytesInWords(availableBytes)} are left`
      : `the machine has ${bytesInWords(availableBytes)} left`;
    findings.push({
      code: 'FORK_HEADROOM',
      severity: 'warning',
      consequence: `Redis takes ${bytesInWords(rssBytes)} of memory and ${left}: pages that are written during a save are copied, and the kernel may end Redis when none are left.`,
      fix: limit
        ? 'systemctl set-property redis-server MemoryMax=BYTES, or the memory limit of the container (or back up a replica: backup.from: replica)'
        : 'free -h (give the machine more memory, or back up a replica: backup.from: replica)',
    });
  }
  if (overcommit === 2 && commitLeftBytes !== undefined && commitLeftBytes < rssBytes) {
    findings.push({
      code: 'OVERCOMMIT',
      severity: 'error',
      consequence: `vm.overcommit_memory is 2 and ${bytesInWords(Math.max(commitLeftBytes, 0))} may still be promised: the fork for a save of ${bytesInWords(rssBytes)} is refused.`,
      fix: SYSCTL,
    });
  } else if (overcommit === 0) {
    findings.push({
      code: 'OVERCOMMIT',
      // The kernel's guess refuses only what it plainly does not have.
      severity: short ? 'warning' : 'info',
      consequence: 'vm.overcommit_memory is 0: the kernel may refuse the fork for a save when memory runs short.',
      fix: SYSCTL,
    });
  }
  if (hugePages === 'always' && disablesHugePages !== true) {
    findings.push({
      code: 'HUGE_PAGES',
      severity: 'warning',
      consequence:
        'Transparent huge pages are always on: during a save every small write copies 2 MB, which costs memory and stalls clients.',
      fix:
        disablesHugePages === undefined
          ? 'echo madvise > /sys/kernel/mm/transparent_hugepage/enabled'
          : configSet(url, 'disable-thp', 'yes'),
    });
  }
  return findings;
}

const SYSCTL = 'sysctl -w vm.overcommit_memory=1 && echo vm.overcommit_memory=1 > /etc/sysctl.d/60-redis.conf';
