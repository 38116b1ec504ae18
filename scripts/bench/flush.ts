import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { connectRedis } from '../../redis/connection.ts';
import { keysOf, readInfo } from '../../redis/info.ts';
import { download } from '../../repository/download.ts';
import type { Repository } from '../../repository/repository.ts';
import type { Deployment } from '../../test/support/deployment.ts';
import type { RedisServer } from '../../test/support/servers.ts';
import type { Progress } from '../../workflows/run-story.ts';
import { backUp, deploy } from './backup-run.ts';
import { putWholeDump } from './put-whole-dump.ts';
import { atMost, compared, megabytes, table, timed } from './report.ts';
import { INSTANCE, type Stage } from './stage.ts';
import { type Contender, inTurn, median, ratioOf, secondsOf } from './turns.ts';

const io = { signal: new AbortController().signal, onProgress: () => undefined };
/** Redis knows whole seconds only: what is nearer to a backup cannot be told from it. */
const toldApartMs = 2_500;
const writeEveryMs = 2;
const lookEveryMs = 20;
const targetRatio = 1.4;
const targetFenceSeconds = 1;

/** A FLUSHALL undone by the runbook, from the approval to the first write that is taken again, beside the bare restore. */
export async function benchFlush(stage: Stage, rounds: number): Promise<string> {
  const { redis, keys, sizeBytes } = await stage.mixedSet();
  const { context, home } = await stage.worker(redis);
  const deployment = await deploy(stage, redis, ['orchestrator', 'host', 'sandbox']);
  const live = await connectRedis({ url: redis.url });
  const fenced: number[] = [];
  const runbook: Contender = {
    name: 'recoverAccidentalFlush, from the approval to the first write that is taken again',
    once: async (round) => {
      const { fencedAfter, backAfter } = await undoFlush(deployment, redis, live);
      if (round > 0) fenced.push(fencedAfter);
      await expectAll(live, keys);
      return backAfter;
    },
  };
  const bare: Contender = {
    name: 'a download from S3, and then its keys put into the empty server',
    once: async () => {
      await live.flushall();
      const taken = await secondsOf(() => bareRestore(context.repository, redis, home, sizeBytes));
      await expectAll(live, keys);
      return taken;
    },
  };
  try {
    const { state } = await backUp(deployment);
    if (state !== 'verified') throw new Error(`the backup is ${state}`);
    const [ours, theirs] = await inTurn([runbook, bare], rounds);
    return table(`A FLUSHALL undone: ${keys} keys, ${megabytes(sizeBytes)}, ${rounds} rounds in turn`, [
      {
        what: runbook.name,
        figure: timed(ours!),
        ratio: compared(ours!, theirs!),
        goal: atMost(ratioOf(ours!, theirs!), targetRatio),
      },
      { what: bare.name, figure: timed(theirs!) },
      {
        what: 'from the start of the workflow to the first write that is refused',
        figure: timed({ name: 'fenced', seconds: fenced }),
        goal: atMost(median(fenced), targetFenceSeconds, ' s'),
      },
    ]);
  } finally {
    live.disconnect();
    await deployment.stop();
    context.repository.close();
  }
}

async function undoFlush(deployment: Deployment, redis: RedisServer, live: Redis) {
  await sleep(toldApartMs);
  await live.flushall();
  const application = new Application(await connectRedis({ url: redis.url }));
  try {
    const startedAt = performance.now();
    const run = await deployment.client.workflow.start('recoverAccidentalFlush', {
      taskQueue: 'rewind',
      workflowId: `accidental-flush/${INSTANCE}`,
      args: [{ instance: INSTANCE }],
    });
    const fencedAt = await application.until('refused');
    let asked: Progress | undefined;
    for (; asked?.gate === undefined; await sleep(lookEveryMs)) {
      asked = await run.query<Progress>('progress').catch(() => undefined);
      if (asked?.phase === 'parked') throw new Error(`the runbook parked: ${JSON.stringify(asked)}`);
    }
    const { plan } = asked.gate;
    const approvedAt = performance.now();
    await run.executeUpdate('approve', { args: [{ approver: 'bench', plan, choice: 'keep-live' }] });
    const backAt = await application.until('taken');
    await run.result();
    return { fencedAfter: (fencedAt - startedAt) / 1000, backAfter: (backAt - approvedAt) / 1000 };
  } finally {
    application.stop();
  }
}

/** An application that goes on writing. */
class Application {
  readonly #redis: Redis;
  #state: 'taken' | 'refused' = 'taken';
  #since = performance.now();
  #stopped = false;

  constructor(redis: Redis) {
    this.#redis = redis;
    void this.#write();
  }

  /** When its writes began to be refused, or taken. */
  async until(state: 'taken' | 'refused'): Promise<number> {
    while (this.#state !== state) await sleep(writeEveryMs);
    return this.#since;
  }

  stop(): void {
    this.#stopped = true;
    this.#redis.disconnect();
  }

  async #write(): Promise<void> {
    for (; !this.#stopped; await sleep(writeEveryMs)) {
      const state = await this.#redis.set('bench:application', 'writes').then(
        () => 'taken' as const,
        (error: Error) => (/NOPERM/.test(error.message) ? ('refused' as const) : undefined),
      );
      if (state === undefined || state === this.#state) continue;
      this.#state = state;
      this.#since = performance.now();
    }
  }
}

async function bareRestore(repository: Repository, redis: RedisServer, home: string, sizeBytes: number): Promise<void> {
  const dumpPath = join(home, 'bare.rdb');
  const namesFile = join(home, 'bare.names');
  await download(repository, { key: await dumpIn(repository), sizeBytes }, dumpPath, io);
  await putWholeDump(dumpPath, redis.url, namesFile);
  for (const path of [dumpPath, namesFile, `${namesFile}.cursor`]) await rm(path, { force: true });
}

async function dumpIn(repository: Repository): Promise<string> {
  for await (const { key } of repository.list('')) if (key.endsWith('/dump.rdb')) return key;
  throw new Error('there is no backup');
}

/** The key that the application writes is one more. */
async function expectAll(live: Redis, keys: number): Promise<void> {
  const found = keysOf(await readInfo(live, 'keyspace'));
  if (found < keys) throw new Error(`${found} keys are there, the backup holds ${keys}`);
}
