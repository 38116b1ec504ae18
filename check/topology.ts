import { judgeTopology } from '../redis/topology.ts';
import type { Finding } from './finding.ts';
import type { Observed } from './observed.ts';
import { configSet, redisCli } from './redis-cli.ts';
import type { RedisFacts } from './redis-facts.ts';

/** Whether this is the server, in the role and among the others, that the configuration says. */
export function topologyFindings({ topology }: RedisFacts, { policy, url }: Observed): Finding[] {
  const judged = judgeTopology(topology, policy.topology);
  if (!judged.ok) return [{ ...refusalOf(), severity: 'error', consequence: `${judged.reason} No backup is taken.` }];
  const findings: Finding[] = judged.findings.map((consequence) => ({
    code: 'TOPOLOGY_DIFFERS',
    severity: 'warning',
    consequence,
    fix: `${redisCli(url)} INFO replication (then mend it, or instances.${policy.instance}.replicas in rewind.yaml)`,
  }));
  const { minReplicasToWrite = 0 } = topology;
  if (minReplicasToWrite > 0 && policy.archive?.from === 'replication') {
    findings.push({
      code: 'ARCHIVE_COUNTS_AS_REPLICA',
      severity: 'warning',
      consequence: `min-replicas-to-write is ${minReplicasToWrite}, and the replication link of the archive counts as one of them: Redis takes writes with one real replica fewer. It acknowledges nothing, so that WAIT is not changed by it.`,
      fix: `${configSet(url, 'min-replicas-to-write', String(minReplicasToWrite + 1))}; then rewind apply --yes, where the archive is not begun yet`,
    });
  } else if (minReplicasToWrite > 0) {
    const counts = policy.source === 'replication' ? ' The link of a backup counts as one of them while it lasts.' : '';
    findings.push({
      code: 'MIN_REPLICAS_TO_WRITE',
      severity: 'info',
      consequence: `min-replicas-to-write is ${minReplicasToWrite}: with fewer replicas in sync Redis refuses writes, those of a restore too.${counts}`,
      fix: configSet(url, 'min-replicas-to-write', '0'),
    });
  }
  return findings;

  function refusalOf(): Pick<Finding, 'code' | 'fix'> {
    const { mode, failover, role, primary } = topology;
    if (mode === 'cluster') {
      return {
        code: 'CLUSTER_NODE',
        fix: `rewind.yaml: take instances.${policy.instance} out, clusters are not supported yet`,
      };
    }
    if (mode === 'sentinel') {
      return {
        code: 'SENTINEL_UNDER_URL',
        fix: `rewind.yaml: name it under instances.${policy.instance}.sentinel.addresses, and a Redis under url`,
      };
    }
    if (failover !== 'no-failover') return { code: 'FAILOVER_RUNNING', fix: `rewind check ${policy.instance}` };
    if (role !== policy.topology.from) {
      return {
        code: 'ROLE_DIFFERS',
        fix: `rewind.yaml: let instances.${policy.instance}.url name ${role === 'replica' ? `the primary (${primary?.address})` : 'a replica'}, or set backup.from: ${role}`,
      };
    }
    return { code: 'REPLICA_NOT_IN_SYNC', fix: `${redisCli(url)} INFO replication` };
  }
}
