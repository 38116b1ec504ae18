import type { ReplicaState, Topology } from '../../redis/topology.ts';

/** How a server came to be asked. */
export type FoundBy = 'configured-primary' | 'configured-replica' | 'sentinel' | 'another-server';

/** One server that answered. Plain data without secrets or names of keys: it may stand in a history. */
export interface ServerCopy {
  /** `host:port` that it was asked at. */
  readonly address: string;
  readonly foundBy: FoundBy;
  readonly role: 'primary' | 'replica';
  readonly mode: Topology['mode'];
  readonly server: { readonly name: 'redis' | 'valkey'; readonly version: string };
  readonly runId: string;
  readonly uptimeSeconds: number;
  readonly keys: number;
  /** `{ "0": 1200 }`; databases without keys are left out. */
  readonly keysByDatabase: Readonly<Record<string, number>>;
  readonly replication: Topology['replication'];
  /** Bytes that the furthest server of the same replication history is ahead. */
  readonly behindBytes?: number;
  /** Of a replica: whom it follows. */
  readonly follows?: {
    readonly address: string;
    readonly up: boolean;
    readonly synchronizing: boolean;
    /** Seconds since its link went down; absent while it is up, and where it has not been up since the start. */
    readonly downForSeconds?: number;
  };
  readonly replicas: readonly ReplicaState[];
  /**
   * How old its data is: 0 for a primary, for a replica the time since it last heard of its primary. Absent where
   * Redis cannot tell: a replica that was restarted and has not been in sync since.
   */
  readonly ageSeconds?: number;
  /** The same as a time by this machine's clock, ISO 8601. */
  readonly dataAsOf?: string;
  /** When its last save ended, ISO 8601; after a start without one, the start. */
  readonly lastSaveAt?: string;
  /** 0: Sentinel must not promote it. */
  readonly priority?: number;
}

/** One that gave no answer that can be used. */
export interface SilentServer {
  readonly address: string;
  readonly foundBy: FoundBy;
  /** REDIS_UNREACHABLE; REDIS_REFUSED_LOGIN and REDIS_LOADING: it runs, and may hold data. */
  readonly code: string;
  readonly reason: string;
}

/** What one Sentinel says. */
export interface SentinelAnswer {
  readonly address: string;
  /** `host:port` that it holds for the primary. */
  readonly primary: string;
  /** Counts failovers: the highest is the latest. */
  readonly epoch: number;
  readonly down: 'no' | 'by-itself' | 'agreed';
  readonly failover: boolean;
  readonly quorum: number;
  readonly otherSentinels: number;
  /** Since the primary last answered it. */
  readonly lastReplySeconds?: number;
  readonly replicas: readonly string[];
}

export interface SentinelsView {
  readonly master: string;
  readonly answers: readonly SentinelAnswer[];
  readonly silent: readonly { readonly address: string; readonly reason: string }[];
  /** Of the answer with the latest failover. */
  readonly primary?: string;
  /** That is not the configured address: a failover has been made. */
  readonly promoted: boolean;
  /** Enough of them answered and hold the primary for down: they will promote by themselves. */
  readonly willPromote: boolean;
}

/** All copies of an instance's data in running servers. */
export interface CopiesSurvey {
  /** This machine's clock, ISO 8601. */
  readonly at: string;
  /** `host:port` of the configured primary. */
  readonly primary: string;
  /** Other names of it, by which replicas and Sentinels know it. */
  readonly primaryAlso: readonly string[];
  readonly servers: readonly ServerCopy[];
  readonly silent: readonly SilentServer[];
  readonly sentinels?: SentinelsView;
}

/** The configured primary itself, where it answers. */
export function primaryItself(survey: CopiesSurvey): ServerCopy | undefined {
  return survey.servers.find(({ foundBy }) => foundBy === 'configured-primary');
}

/** Primaries other than the configured one: promoted ones, and replicas that forgot whom they followed. */
export function otherPrimaries(survey: CopiesSurvey): ServerCopy[] {
  return survey.servers.filter(({ foundBy, role }) => foundBy !== 'configured-primary' && role === 'primary');
}

/** True where this address is the configured primary, under one of its names. */
export function isPrimaryAddress(survey: CopiesSurvey, address: string): boolean {
  return address === survey.primary || survey.primaryAlso.includes(address);
}

/** Servers that would copy whatever the configured primary starts with. */
export function followersOfPrimary(survey: CopiesSurvey): ServerCopy[] {
  return survey.servers.filter(({ follows }) => follows && isPrimaryAddress(survey, follows.address));
}
