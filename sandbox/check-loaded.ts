import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import type { StepIO } from '../process/step-io.ts';
import { redisTimeMs } from '../redis/info.ts';
import { readLiveKey } from '../redis/live-content.ts';
import type { Check } from './check.ts';
import type { ProvableFacts } from './dump-facts.ts';
import type { LoadFigures } from './loaded-server.ts';
import type { Sample } from './sample.ts';

/** Compares what a real server holds after the load with what the reader found in the dump. */
export async function checkLoadedServer(
  redis: Redis,
  figures: LoadFigures,
  facts: ProvableFacts,
  sample: Sample | undefined,
  io: StepIO,
): Promise<Check[]> {
  if (!sample) {
    const detail = `${figures.keysLoaded} keys are there after the load; the reader could not count them in the dump`;
    return [{ name: 'loaded-keys', result: 'not-possible', detail }];
  }
  return [
    countCheck(figures, facts, sample),
    await functionCheck(redis, facts, sample),
    await sampleCheck(redis, sample, io),
  ];
}

function countCheck(figures: LoadFigures, facts: ProvableFacts, sample: Sample): Check {
  const { keysLoaded, keysExpired, emptiedHashes } = figures;
  const figuresShown = {
    walked: sample.walked,
    loaded: keysLoaded,
    expired: keysExpired ?? 'not counted by this server',
  };
  // Servers before 7.0 do not count what they dropped at the load; then every missing key must be one with an expiry.
  const agrees =
    keysExpired === undefined
      ? keysLoaded <= facts.keys && facts.keys - keysLoaded <= facts.keysWithExpiry
      : keysLoaded + keysExpired + emptiedHashes === facts.keys || keysLoaded + keysExpired === facts.keys;
  if (sample.walked === facts.keys && agrees) {
    const expired = keysExpired ? ` (${keysExpired} had expired)` : '';
    return {
      name: 'loaded-keys',
      result: 'ok',
      detail: `all ${facts.keys} keys are there${expired}`,
      figures: figuresShown,
    };
  }
  return {
    name: 'loaded-keys',
    result: 'contradicted',
    detail: `the dump held ${facts.keys} keys, the loaded server has ${keysLoaded} and dropped ${keysExpired ?? 'an unknown number of'} expired ones`,
    figures: { ...figuresShown, expected: facts.keys },
  };
}

/** Libraries have no key's digest: they are compared by their code. */
async function functionCheck(redis: Redis, facts: ProvableFacts, { functions }: Sample): Promise<Check> {
  const found = await librariesOf(redis);
  if (found.length !== facts.functionLibraries || functions.length !== facts.functionLibraries) {
    return {
      name: 'functions',
      result: 'contradicted',
      detail: `the dump held ${facts.functionLibraries} function libraries, the loaded server has ${found.length}`,
    };
  }
  const differing = found.filter((sha256) => !functions.includes(sha256)).length;
  return differing === 0
    ? { name: 'functions', result: 'ok', detail: `${found.length} function libraries, as in the dump` }
    : {
        name: 'functions',
        result: 'contradicted',
        detail: `${differing} of ${found.length} function libraries have other code after the load`,
      };
}

/** @returns the SHA-256 of each library's code; none from a server before 7.0, which has no functions */
async function librariesOf(redis: Redis): Promise<string[]> {
  const reply = (await redis.callBuffer('FUNCTION', 'LIST', 'WITHCODE').catch(() => [])) as unknown as unknown[][];
  return reply.map((fields) => {
    const at = fields.findIndex((field) => String(field) === 'library_code');
    return createHash('sha256')
      .update(fields[at + 1] as Buffer)
      .digest('hex');
  });
}

/** Content is read back by ordinary commands, not by DUMP: a second opinion that shares no code with the reader. */
async function sampleCheck(redis: Redis, sample: Sample, io: StepIO): Promise<Check> {
  let same = 0;
  let expired = 0;
  let unreadable = 0;
  let differing = 0;
  for (const [index, key] of sample.keys.entries()) {
    io.signal.throwIfAborted();
    if (index % 50 === 0) io.onProgress({ phase: 'compare', done: index, total: sample.keys.length, unit: 'keys' });
    if (key.digest === undefined) {
      unreadable += 1;
      continue;
    }
    const live = await readLiveKey(redis, key.db, key.key, {
      streamDetail: key.streamDetail,
      aliveAt: sample.aliveAt,
    });
    if (live.state === 'unsupported') unreadable += 1;
    else if (live.state === 'present' && live.digest === key.digest) same += 1;
    else if (key.expireAtMs !== undefined && key.expireAtMs <= (await redisTimeMs(redis))) expired += 1;
    else differing += 1;
  }
  const { uncompared } = sample;
  const figures = { sampled: sample.keys.length, same, expired, unreadable, differing, uncompared };
  if (differing > 0) {
    return {
      name: 'sample',
      result: 'contradicted',
      detail: `${differing} of ${sample.keys.length} sampled keys have other content after the load`,
      figures,
    };
  }
  if (unreadable > 0) {
    return {
      name: 'sample',
      result: 'not-possible',
      detail: `${unreadable} of ${sample.keys.length} sampled keys are of types that cannot be compared by content`,
      figures,
    };
  }
  const gone = expired ? `, ${expired} more have expired` : '';
  const passed = uncompared ? `; ${uncompared} values of modules were loaded and counted, not compared` : '';
  return {
    name: 'sample',
    result: 'ok',
    detail: `${same} sampled keys have the same content${gone}${passed}`,
    figures,
  };
}
