import { hasModule } from '../module-of-type.ts';
import { type DumpFormat, whyNotLoadable } from './loadable-dump.ts';
import type { StreamTargetFacts } from './target-facts.ts';

/** What of a dump decides whether a server takes it; a manifest and `DumpFacts` have all of it. */
export interface StreamedDump extends DumpFormat {
  readonly highestDatabase: number;
  /** Names of module types whose data it holds. */
  readonly modules: readonly string[];
  /** Memory that the data took in the server that wrote it, in bytes; 0 where the dump does not say. */
  readonly usedMemoryBytes: number;
}

export interface StreamAllowances {
  /** Replicas that hang on the target get the restored data, too, and lose theirs. Default: refused. */
  readonly replicas?: boolean;
  /** Sentinels see a primary become a replica for a moment and may fail over. Default: refused. */
  readonly sentinels?: boolean;
  /** More data than `maxmemory`: the target evicts or refuses writes afterwards. Default: refused. */
  readonly overMaxMemory?: boolean;
}

/**
 * Why the whole dataset of this server may not be replaced by this dump over a replication link: sentences for a person.
 * Empty: it may. A dump with a database or a module that the target has not would *end* the target while it loads.
 */
export function whyNotStreamed(
  facts: StreamTargetFacts,
  dump: StreamedDump,
  allowed: StreamAllowances = {},
): readonly string[] {
  const { topology, server } = facts;
  const reasons: (string | undefined | false)[] = [
    topology.mode === 'cluster' && 'The target is a node of a Redis Cluster.',
    topology.mode === 'sentinel' && 'The target is a Sentinel, not a Redis with data.',
    topology.role === 'replica' && `The target is a replica of ${topology.primary?.address}: restore into its primary.`,
    topology.failover !== 'no-failover' && `A failover is running at the target (${topology.failover}).`,
    facts.loading && 'The target is still loading its data.',
    !facts.onThisMachine &&
      'The target does not run on the machine of this agent; the dump is offered on loopback only.',
    topology.replicas.length > 0 &&
      !allowed.replicas &&
      `${topology.replicas.length} replica(s) hang on the target (${topology.replicas.map(({ address }) => address).join(', ')}): they would be replaced with it.`,
    facts.sentinels > 0 &&
      !allowed.sentinels &&
      'Sentinels watch the target: they may take its moment as a replica for a failover.',
    !facts.keepsOldWhileLoading &&
      'The target cannot keep its data until the new data is loaded (no repl-diskless-load, which came with 6.0).',
    sentence(whyNotLoadable(dump, server)),
    dump.highestDatabase >= facts.databases &&
      `The dump has keys in database ${dump.highestDatabase}; the target has ${facts.databases} databases.`,
    ...dump.modules
      .filter((type) => !hasModule(facts.modules, type))
      .map((type) => `The dump holds data of the module type ${type}, and the target has not loaded that module.`),
    facts.maxMemoryBytes > 0 &&
      dump.usedMemoryBytes > facts.maxMemoryBytes &&
      !allowed.overMaxMemory &&
      `The data took ${dump.usedMemoryBytes} bytes of memory; the target's maxmemory is ${facts.maxMemoryBytes}.`,
    facts.availableBytes !== undefined &&
      dump.usedMemoryBytes > facts.availableBytes &&
      `The new data is loaded beside the old: it takes ${dump.usedMemoryBytes} bytes, the machine has ${facts.availableBytes} left.`,
  ];
  return reasons.filter((reason): reason is string => typeof reason === 'string');
}

const sentence = (text: string | undefined): string | undefined =>
  text && `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
