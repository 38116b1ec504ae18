import net from 'node:net';
import type { Redis } from 'ioredis';
import { type Info, infoNumber, readInfo } from './info.ts';
import { replicaName } from './psync-handshake.ts';

/** How one server stands among others, as it says itself (INFO server, replication, cluster). */
export interface Topology {
  readonly mode: 'standalone' | 'cluster' | 'sentinel';
  readonly role: 'primary' | 'replica';
  readonly runId: string;
  readonly processId: number | undefined;
  readonly replication: {
    readonly id: string;
    /** The history before the last failover; undefined where there was none. */
    readonly previousId?: string;
    readonly offset: number;
  };
  /** Replicas that hang on this server; transfers of our own dumps are not among them. */
  readonly replicas: readonly ReplicaState[];
  /** Of a replica only. */
  readonly primary?: PrimaryLink;
  /** `FAILOVER` (the command) as it goes: `no-failover`, `waiting-for-sync`, `failover-in-progress`. */
  readonly failover: string;
  /** Undefined where CONFIG is not allowed. */
  readonly minReplicasToWrite?: number;
}

export interface ReplicaState {
  /** `host:port`, as the replica announces itself. */
  readonly address: string;
  /** `online`, `wait_bgsave`, `send_bulk`, … */
  readonly state: string;
  readonly offset: number;
  /** Seconds since the replica last acknowledged. */
  readonly lagSeconds?: number;
}

export interface PrimaryLink {
  readonly address: string;
  readonly up: boolean;
  readonly synchronizing: boolean;
  readonly lastHeardSeconds?: number;
}

/** Reads how this server stands among others. */
export async function readTopology(redis: Redis): Promise<Topology> {
  const info: Info = {
    ...(await readInfo(redis, 'server')),
    ...(await readInfo(redis, 'replication')),
    ...(await readInfo(redis, 'cluster')),
  };
  const minReplicas = await minReplicasToWrite(redis);
  return { ...topologyOf(info), ...(minReplicas === undefined ? {} : { minReplicasToWrite: minReplicas }) };
}

export function topologyOf(info: Info): Topology {
  const mode = info.redis_mode ?? info.server_mode;
  return {
    mode: mode === 'sentinel' ? 'sentinel' : info.cluster_enabled === '1' ? 'cluster' : 'standalone',
    role: info.role === 'slave' ? 'replica' : 'primary',
    runId: info.run_id ?? '',
    processId: infoNumber(info, 'process_id'),
    replication: {
      id: info.master_replid ?? '',
      ...(info.master_replid2 && !/^0+$/.test(info.master_replid2) ? { previousId: info.master_replid2 } : {}),
      offset: infoNumber(info, 'master_repl_offset') ?? 0,
    },
    replicas: replicasOf(info),
    ...(info.role === 'slave' ? { primary: primaryLink(info) } : {}),
    failover: info.master_failover_state ?? 'no-failover',
  };
}

function replicasOf(info: Info): ReplicaState[] {
  const replicas: ReplicaState[] = [];
  for (const [field, line] of Object.entries(info)) {
    if (!/^slave\d+$/.test(field)) continue;
    const parts = new Map(
      line.split(',').map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]),
    );
    const host = parts.get('ip') ?? '';
    if (host === replicaName) continue;
    const lag = Number(parts.get('lag') ?? Number.NaN);
    replicas.push({
      address: `${host}:${parts.get('port') ?? ''}`,
      state: parts.get('state') ?? 'unknown',
      offset: Number(parts.get('offset') ?? 0),
      ...(lag >= 0 ? { lagSeconds: lag } : {}),
    });
  }
  return replicas;
}

function primaryLink(info: Info): PrimaryLink {
  const heard = infoNumber(info, 'master_last_io_seconds_ago');
  return {
    address: `${info.master_host}:${info.master_port}`,
    up: info.master_link_status === 'up',
    synchronizing: info.master_sync_in_progress === '1',
    ...(heard !== undefined && heard >= 0 ? { lastHeardSeconds: heard } : {}),
  };
}

async function minReplicasToWrite(redis: Redis): Promise<number | undefined> {
  const reply = (await redis.config('GET', 'min-replicas-to-write').catch(() => [])) as string[];
  return reply[1] === undefined ? undefined : Number(reply[1]);
}

/** What the configuration says of an instance. */
export interface ExpectedTopology {
  readonly from: 'primary' | 'replica';
  /** URLs of the replicas that the configuration names. */
  readonly replicas: readonly string[];
  /** True where Sentinels know the replicas, so that none need be named. */
  readonly sentinel?: boolean;
}

export type TopologyVerdict =
  | { readonly ok: true; readonly findings: readonly string[] }
  | { readonly ok: false; readonly reason: string };

/** A replica that was heard of longer ago than this lags, whatever its link says. */
const LAG_SECONDS = 10;

/** Decides whether a backup may be taken here. Reasons and findings are sentences for a person. */
export function judgeTopology(topology: Topology, expected: ExpectedTopology): TopologyVerdict {
  const reason = refusal(topology, expected);
  return reason ? { ok: false, reason } : { ok: true, findings: findingsOf(topology, expected) };
}

function refusal(topology: Topology, expected: ExpectedTopology): string | undefined {
  const { mode, role, primary, failover } = topology;
  if (mode === 'sentinel') {
    return 'This address is a Sentinel, not a Redis with data: name it under sentinel.addresses, and Redis under url.';
  }
  if (mode === 'cluster') {
    return 'This server is a node of a Redis Cluster: it holds a part of the keys only, and clusters are not supported in this version.';
  }
  if (failover !== 'no-failover') return `A failover is running (${failover}); wait until it has ended.`;
  if (expected.from === 'primary' && role === 'replica') {
    return `This server is a replica of ${primary?.address}, the configuration says backup.from: primary. After a failover, let url name the new primary.`;
  }
  if (expected.from === 'replica' && role === 'primary') {
    return 'This server is a primary, the configuration says backup.from: replica. After a failover, let url name a replica.';
  }
  if (primary?.synchronizing)
    return `This replica is being synchronized from ${primary.address}; its data is not whole yet.`;
  if (primary && !primary.up) {
    return `This replica has lost its primary ${primary.address} (master_link_status down): its data grows older by the second.`;
  }
  return undefined;
}

function findingsOf(topology: Topology, expected: ExpectedTopology): string[] {
  const findings: string[] = [];
  const { replicas, primary, minReplicasToWrite } = topology;
  if (primary?.lastHeardSeconds !== undefined && primary.lastHeardSeconds > LAG_SECONDS) {
    findings.push(`The primary ${primary.address} was last heard of ${primary.lastHeardSeconds} s ago.`);
  }
  if (!expected.sentinel) {
    for (const replica of replicas) {
      if (!expected.replicas.some((url) => mayBe(url, replica.address))) {
        findings.push(
          `A replica at ${replica.address} is connected that the configuration does not name under replicas.`,
        );
      }
    }
  }
  if (topology.role === 'primary') {
    for (const url of expected.replicas) {
      if (!replicas.some((replica) => mayBe(url, replica.address))) {
        findings.push(`The replica ${new URL(url).host} that the configuration names is not connected.`);
      }
    }
  }
  for (const { address, state, lagSeconds = 0 } of replicas) {
    if (state !== 'online') findings.push(`The replica ${address} is not in sync (${state}).`);
    else if (lagSeconds > LAG_SECONDS) findings.push(`The replica ${address} acknowledged last ${lagSeconds} s ago.`);
  }
  const online = replicas.filter((replica) => replica.state === 'online').length;
  if (topology.role === 'primary' && minReplicasToWrite !== undefined && minReplicasToWrite > online) {
    findings.push(
      `min-replicas-to-write is ${minReplicasToWrite} and ${online} are in sync: Redis refuses writes now.`,
    );
  }
  return findings;
}

/** Redis names replicas by address; where the configuration gives a name, the port has to decide. */
function mayBe(url: string, address: string): boolean {
  const named = new URL(url);
  const host = named.hostname.replace(/^\[|\]$/g, '');
  const colon = address.lastIndexOf(':');
  if (Number(named.port || 6379) !== Number(address.slice(colon + 1))) return false;
  return net.isIP(host) === 0 || host === address.slice(0, colon);
}
