import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { followerOf } from '../../archive/follow/follow-aof.ts';
import { addressOf } from '../../redis/connection.ts';
import { extendIdentity } from '../../repository/identity.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Random } from '../../scripts/bench/random.ts';
import { archiveContext, type Following, follow, instance, until } from './archive.ts';
import { ArchiveCutter } from './archive-cutter.ts';
import type { RedisServer } from './servers.ts';

/** What makes the archive of a server that is written to by chance. */
export interface ArchiveMaker {
  readonly kind: string;
  /** Settings that the server has to have for it. */
  readonly config: Readonly<Record<string, string>>;
  begin(server: RedisServer): Promise<void>;
  /** Now and then, and before each death. */
  look(server: RedisServer): Promise<void>;
  /** A replica follows, and is about to be made the primary. */
  beforePromotion(primary: RedisServer, redis: Redis, replica: RedisServer): Promise<void>;
  /** It is, and the one before still runs. */
  promoted(server: RedisServer): Promise<void>;
  /** All that was written is there. */
  end(server: RedisServer): Promise<void>;
}

/** The test's own reading of the files: never late, and its segments end anywhere. */
export function cutByTest(repository: Repository, random: Random, version: string): ArchiveMaker {
  const cutter = new ArchiveCutter(repository, { instance, version, segmentBytes: () => random.between(1, 6_000) });
  const look = ({ dir }: RedisServer) => cutter.look(dir);
  return {
    kind: 'cut by the test',
    config: { 'aof-disable-auto-gc': 'yes' },
    begin: async () => void (await cutter.begin('first')),
    look,
    beforePromotion: async () => undefined,
    promoted: async () => {
      await cutter.begin('promotion', { timeline: cutter.timeline, position: cutter.position });
    },
    end: look,
  };
}

/** The product's follower, as an agent runs it; each server has a host of its own. */
export function followed(repository: Repository, folder: string, random: Random): ArchiveMaker {
  let following: Following | undefined;
  let hosts = 0;
  /** The timeline of the server before. */
  let left = 0;
  /** As one configuration lists them for every host. */
  const replicas: string[] = [];
  const begin = async (server: RedisServer) => {
    hosts += 1;
    const folders = { home: join(folder, `host-${hosts}`), repository: join(folder, 'repository') };
    const { policy, ...context } = await archiveContext(server, folders);
    const topology = { ...policy.topology, replicas };
    following = follow({ ...context, policy: { ...policy, topology } }, { segmentBytes: random.between(100, 6_000) });
    const before = left;
    const { ended, figures } = following;
    const follows = until(`host ${hosts} follows`, async () => {
      const { bases, timeline } = figures() ?? { bases: 0, timeline: 0 };
      // One that was too late for a rewrite and a restart after it may have begun another by itself.
      return bases > 0 && timeline > before;
    });
    await Promise.race([follows, ended]);
  };
  return {
    kind: 'by the follower',
    config: {},
    begin,
    look: async () => undefined,
    beforePromotion: async (primary, redis, replica) => {
      replicas.push(replica.url);
      const id = /master_replid:(\w+)/.exec(await redis.info('replication'))?.[1] ?? '';
      const addresses = [primary, replica].map(addressOf);
      await extendIdentity(repository, instance, { replicationIds: [id], addresses });
    },
    promoted: async (server) => {
      await until('all is shipped', async () => followerOf(instance)?.idle);
      left = following?.figures()?.timeline ?? left;
      await following?.stop();
      await begin(server);
    },
    end: async () => {
      await until('all is shipped', async () => followerOf(instance)?.idle);
      await following?.stop();
    },
  };
}
