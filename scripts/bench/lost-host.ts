import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { findMoment } from '../../archive/read/find-moment.ts';
import { layDown } from '../../archive/read/lay-down.ts';
import { openRepository } from '../../repository/open.ts';
import { connectTo } from '../../test/support/dataset.ts';
import { startRedis } from '../../test/support/servers.ts';
import type { FollowNews } from './follow.ts';
import { type Row, table } from './report.ts';
import { INSTANCE, type Stage } from './stage.ts';
import { median } from './turns.ts';

const io = { signal: new AbortController().signal, onProgress: () => undefined };
const promisedMs = 5_000;
/** Writes that are acknowledged together. */
const together = 10;
/** Longer than a segment is waited for; the end of it is by chance, so that it meets every age of a segment. */
const writesForMs = () => 8_000 + 4_000 * Math.random();

/**
 * A host that is lost with writers running: Redis and the agent killed at once, the data and the agent's folder removed.
 * What is lost is the time between the end and the last acknowledged write that the repository gives back.
 */
export async function benchLostHost(stage: Stage, rounds: number): Promise<string> {
  const lost: { ms: number; writes: number }[] = [];
  for (let round = 0; round < rounds; round++) lost.push(await loseHost(stage, round));
  const ms = lost.map((each) => each.ms);
  const most = Math.max(...ms);
  const figure = (value: number) => `${(value / 1000).toFixed(2)} s`;
  const rows: Row[] = [
    { what: 'acknowledged writes lost, as time: the median', figure: figure(median(ms)) },
    {
      what: 'the most',
      figure: figure(most),
      goal: { met: most < promisedMs, text: `< ${promisedMs / 1000} s` },
    },
    { what: 'writes that were lost, the median', figure: `${median(lost.map(({ writes }) => writes))}` },
  ];
  return table(`A host lost with its disk while it is written to, ${rounds} times`, rows);
}

async function loseHost(stage: Stage, round: number): Promise<{ ms: number; writes: number }> {
  const redis = await startRedis({ config: { appendonly: 'yes', 'aof-timestamp-enabled': 'yes' } });
  const config = await stage.config(redis);
  const home = join(await stage.folder(), `lost-${round}`);
  await mkdir(home);
  const path = join(home, 'rewind.yaml');
  const instance = { ...config.instances?.[INSTANCE], dataClass: 'audit-log', archive: true };
  const stored = { ...config.repository!, url: `${config.repository!.url}-lost-${Date.now()}` };
  await writeFile(path, stringify({ ...config, repository: stored, instances: { [INSTANCE]: instance } }));
  const follower = fork(fileURLToPath(new URL('./follow.ts', import.meta.url)), [path, home], { detached: true });
  for (let news: FollowNews | undefined; !news || news.timeline === 0; ) [news] = await once(follower, 'message');

  const live = await connectTo(redis);
  /** When each write was acknowledged. */
  const acknowledged: number[] = [];
  const until = performance.now() + writesForMs();
  while (performance.now() < until) {
    const writes = live.pipeline();
    for (let i = 1; i <= together; i++) writes.set('last', acknowledged.length + i);
    await writes.exec();
    const now = performance.now();
    for (let i = 0; i < together; i++) acknowledged.push(now);
    await sleep(together);
  }
  const gone = once(follower, 'exit');
  follower.kill('SIGKILL');
  await redis.kill9();
  const end = acknowledged.at(-1)!;
  await gone;
  live.disconnect();
  await rm(redis.dir, { recursive: true });
  await rm(home, { recursive: true });

  const repository = await openRepository(stored as Parameters<typeof openRepository>[0]);
  const place = { repository, instance: INSTANCE };
  const dir = join(await stage.folder(), `found-${round}`);
  await layDown(place, await findMoment(place, { kind: 'latest' }), dir, io);
  repository.close();
  const found = await startRedis({ dir, config: { appendonly: 'yes' } });
  const again = await connectTo(found);
  const last = Number(await again.get('last'));
  again.disconnect();
  await found.stop();
  await rm(dir, { recursive: true, force: true });
  const held = acknowledged[last - 1] ?? acknowledged[0]!;
  return { ms: end - held, writes: acknowledged.length - last };
}
