import { chooseServer, type SandboxServer } from '../sandbox/servers.ts';
import { type Finding, failureFinding } from './finding.ts';
import type { HostFacts } from './host-facts.ts';
import { isFailure, type Observed } from './observed.ts';
import type { RedisFacts } from './redis-facts.ts';
import type { SandboxFacts } from './sandbox-facts.ts';
import { bytesInWords } from './words.ts';

/** In every Redis 8 without being loaded from a file. */
const BUILT_IN = new Set(['vectorset']);

/** Whether the sandbox can load what this server saves. Where it cannot, each backup is stored and stays unproven. */
export function proofFindings(
  redis: RedisFacts | undefined,
  host: HostFacts | undefined,
  { sandbox, policy }: Observed,
): Finding[] {
  if (!sandbox) return [];
  if (isFailure(sandbox)) return [failureFinding('The sandbox', sandbox.failure)];
  if (!redis) return [];
  const findings: Finding[] = [];
  const { name, version } = redis.server;
  const origin = { serverName: name, serverVersion: version };
  if (!chooseServer(sandbox.servers as readonly SandboxServer[], origin)) {
    const has = sandbox.servers.map((server) => `${server.name} ${server.version}`).join(', ');
    const newer = version.split('.').slice(0, 2).join('.');
    findings.push({
      code: 'SANDBOX_CANNOT_LOAD',
      severity: 'error',
      consequence: `The sandbox has ${has || 'no server'}, and none of them loads a dump of ${name} ${version}: every backup stays unproven.`,
      fix: `rewind.yaml: sandbox.servers: [/path/to/${name}-server of ${newer} or newer]`,
    });
  }
  const extra = (redis.modules ?? []).filter((module) => !BUILT_IN.has(module));
  if (extra.length > 0) {
    findings.push({
      code: 'SANDBOX_WITHOUT_MODULES',
      severity: 'warning',
      consequence: `This server has modules (${extra.join(', ')}) that the sandbox starts its own without: a backup that holds their keys stays unproven.`,
      fix: `rewind backups ${policy.instance} (shows whether it does)`,
    });
  }
  findings.push(...roomFindings(redis, sandbox));
  const beside = host?.machine !== undefined && host.machine === sandbox.machine;
  if (beside && !policy.host.sandbox) {
    const tight = (sandbox.availableMemoryBytes ?? 0) < 2 * redis.memory.usedBytes;
    findings.push({
      code: 'SANDBOX_BESIDE_REDIS',
      severity: tight ? 'warning' : 'info',
      consequence: `The sandbox is on Redis’ own machine: each proof takes as much memory again as the data (${bytesInWords(redis.memory.usedBytes)}).`,
      fix: `rewind worker --role sandbox (on another machine), or rewind.yaml: instances.${policy.instance}.host.sandbox: true`,
    });
  }
  return findings;
}

function roomFindings(
  { memory }: RedisFacts,
  { maxMemoryBytes, freeBytes, availableMemoryBytes = Number.POSITIVE_INFINITY }: SandboxFacts,
): Finding[] {
  const findings: Finding[] = [];
  if (memory.usedBytes > maxMemoryBytes) {
    findings.push({
      code: 'SANDBOX_MEMORY',
      severity: 'error',
      consequence: `Redis uses ${bytesInWords(memory.usedBytes)} of memory and the sandbox may use ${bytesInWords(maxMemoryBytes)}: every backup stays unproven.`,
      fix: 'rewind.yaml: sandbox.maxMemory, on a machine that has it',
    });
  } else if (memory.usedBytes > availableMemoryBytes) {
    findings.push({
      code: 'SANDBOX_MEMORY_LOW',
      severity: 'warning',
      consequence: `Redis uses ${bytesInWords(memory.usedBytes)} of memory and the sandbox has ${bytesInWords(availableMemoryBytes)} left: while that is so, each backup stays unproven.`,
      fix: 'free -h (on the sandbox’s machine, or its container’s memory limit)',
    });
  }
  if (memory.datasetBytes > freeBytes) {
    findings.push({
      code: 'SANDBOX_DISK',
      severity: 'warning',
      consequence: `The sandbox’s disk has ${bytesInWords(freeBytes)} free and the data takes ${bytesInWords(memory.datasetBytes)} of memory: a dump may not fit, and its backup stays unproven.`,
      fix: 'df -h (on the sandbox’s machine; REWIND_HOME chooses the disk)',
    });
  }
  return findings;
}
