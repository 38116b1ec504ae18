import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import { connectRedis, type RedisTarget } from '../../redis/connection.ts';
import { callsOf, infoNumber, keysOf, parseInfo, serverVersion } from '../../redis/info.ts';

/** What a server says of itself, as far as the archive asks. */
export interface ServerSigns {
  readonly name: 'redis' | 'valkey';
  readonly version: string;
  readonly runId: string;
  readonly role: 'primary' | 'replica';
  readonly replicationId: string;
  /** The history before the last failover. */
  readonly previousId?: string;
  readonly offset: number;
  readonly keys: number;
  /** Keys that expired or were evicted: they stand in the file as DEL or UNLINK. */
  readonly expiredKeys: number;
  readonly aofOn: boolean;
  readonly rewriting: boolean;
  /** How often it was told something by which its append-only file may end and another begin: CONFIG SET, REPLICAOF, FAILOVER. */
  readonly switches: number;
  /** Bytes of its base and its incrs together, by its own count; absent with `appendonly no`. */
  readonly aofBytes?: number;
  /** The same when it started or last rewrote: right after a start, of the base alone. */
  readonly aofBaseBytes?: number;
}

/** Redis' `dir`, `appenddirname`, `appendfilename`. */
export interface ConfiguredPlace {
  readonly redisDir: string;
  readonly appendDirName: string;
  readonly appendFileName: string;
}

const sections = ['server', 'replication', 'persistence', 'stats', 'commandstats', 'keyspace'];

/** One connection to the server that is followed; a lost one is made again at the next question. */
export class ServerWatch {
  readonly #target: RedisTarget;
  #redis: Redis | undefined;
  #last: { readonly signs: ServerSigns; readonly at: number } | undefined;

  constructor(target: RedisTarget) {
    this.#target = target;
  }

  /** Undefined where the server does not answer now: down, loading, full. @throws REDIS_REFUSED_LOGIN */
  async ask(): Promise<ServerSigns | undefined> {
    return this.#answered(async (redis) => {
      const at = performance.now();
      const signs = signsIn(String(await redis.call('INFO', ...sections)));
      this.#last = { signs, at };
      return signs;
    });
  }

  /** As `ask`, or what it said at most so long ago, in ms, if it is the same process: the connection is still there. */
  async known(withinMs: number): Promise<ServerSigns | undefined> {
    const last = this.#redis?.status === 'ready' ? this.#last : undefined;
    return last && performance.now() - last.at < withinMs ? last.signs : this.ask();
  }

  /** @throws ARCHIVE_NOT_POSSIBLE for a server without a multi-part file, REDIS_REFUSED_LOGIN */
  async place(): Promise<ConfiguredPlace | undefined> {
    return this.#answered(async (redis) => {
      const { server_version: _, ...info } = parseInfo(await redis.info('server'));
      const { name, version } = serverVersion(info);
      const value = async (parameter: string) => ((await redis.config('GET', parameter)) as string[])[1];
      const [redisDir, appendDirName, appendFileName] = await Promise.all([
        value('dir'),
        value('appenddirname'),
        value('appendfilename'),
      ]);
      if (redisDir === undefined || appendDirName === undefined || appendFileName === undefined) {
        throw new RewindError(
          'ARCHIVE_NOT_POSSIBLE',
          Number.parseInt(version, 10) < 7
            ? `${name} ${version} keeps its append-only file in one piece, which every rewrite replaces: only files in parts (7.0 and newer) can be followed.`
            : `${name} ${version} does not say where its append-only files are (CONFIG GET dir, appenddirname, appendfilename).`,
        );
      }
      return { redisDir, appendDirName, appendFileName };
    });
  }

  close(): void {
    this.#redis?.disconnect();
    this.#redis = undefined;
    this.#last = undefined;
  }

  async #answered<T>(question: (redis: Redis) => Promise<T>): Promise<T | undefined> {
    try {
      this.#redis ??= await connectRedis(this.#target, { connectTimeoutMs: 1_000, commandTimeoutMs: 3_000 });
      return await question(this.#redis);
    } catch (error) {
      this.close();
      if (error instanceof RewindError && ['ARCHIVE_NOT_POSSIBLE', 'REDIS_REFUSED_LOGIN'].includes(error.code)) {
        throw error;
      }
      if (error instanceof Error && /^NOPERM/.test(error.message)) {
        throw new RewindError('REDIS_REFUSED_LOGIN', `The archive needs INFO and CONFIG GET: ${error.message}`);
      }
      return undefined;
    }
  }
}

const switching = ['config|set', 'replicaof', 'slaveof', 'failover'];

/** From an INFO of `sections`. */
export function signsIn(text: string): ServerSigns {
  const info = parseInfo(text);
  const previousId = info.master_replid2;
  const aofBytes = infoNumber(info, 'aof_current_size');
  const aofBaseBytes = infoNumber(info, 'aof_base_size');
  return {
    ...serverVersion(info),
    runId: info.run_id ?? '',
    role: info.role === 'slave' ? 'replica' : 'primary',
    replicationId: info.master_replid ?? '',
    ...(previousId && !/^0+$/.test(previousId) ? { previousId } : {}),
    offset: infoNumber(info, 'master_repl_offset') ?? 0,
    keys: keysOf(info),
    expiredKeys: (infoNumber(info, 'expired_keys') ?? 0) + (infoNumber(info, 'evicted_keys') ?? 0),
    aofOn: info.aof_enabled === '1',
    rewriting: info.aof_rewrite_in_progress === '1' || info.aof_rewrite_scheduled === '1',
    switches: switching.reduce((sum, command) => sum + callsOf(info, command), 0),
    ...(aofBytes === undefined ? {} : { aofBytes }),
    ...(aofBaseBytes === undefined ? {} : { aofBaseBytes }),
  };
}
