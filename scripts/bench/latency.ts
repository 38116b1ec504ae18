import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { backUp, deploy } from './backup-run.ts';
import type { LoadSamples, LoadSettings } from './live-load.ts';
import { atMost, type Row, table } from './report.ts';
import { type Stage, save } from './stage.ts';
import { median } from './turns.ts';
import { storeNice, yieldToOthers } from './yield-to-others.ts';

const PER_SECOND = 1_000;
const PAUSE_MS = 3_000;

/** Unix times in milliseconds. */
type Window = readonly [from: number, to: number];

/** What a live client waits for its answers while a backup is taken, beside a save that nobody takes care of, in turn. */
export async function benchLatency(stage: Stage, rounds: number): Promise<string> {
  const { redis, keys } = await stage.mixedSet();
  // The sandbox is another machine's work in earnest: it loads nothing here.
  const deployment = await deploy(stage, redis, ['orchestrator', 'host'], { roleSilence: '3s' });
  const windows = { idle: [] as Window[], save: [] as Window[], backup: [] as Window[], storing: [] as Window[] };
  yieldToOthers((await stage.minio()).pid, storeNice);
  let samples: LoadSamples;
  try {
    await backUp(deployment);
    const load = await startLoad({ port: redis.port, keys, perSecond: PER_SECOND });
    for (let round = 1; round <= rounds; round++) {
      process.stderr.write(`  round ${round}\n`);
      const pausedAt = Date.now();
      await sleep(PAUSE_MS);
      windows.idle.push([pausedAt, Date.now()]);
      const bare = async () => {
        const from = Date.now();
        await save(redis);
        windows.save.push([from, Date.now()]);
      };
      const backup = async () => {
        const run = await backUp(deployment);
        windows.backup.push([run.startedAt, run.step('verifyUpload').endedAt]);
        windows.storing.push([run.step('waitForBgsave').endedAt, run.step('verifyUpload').endedAt]);
      };
      const order = round % 2 === 1 ? [bare, backup] : [backup, bare];
      for (const each of order) {
        await each();
        await sleep(PAUSE_MS);
      }
    }
    samples = await load.end();
  } finally {
    await deployment.stop();
  }

  const p99 = (name: keyof typeof windows) => windows[name].map((window) => percentile(samples, window, 0.99));
  const bare = p99('save');
  const row = (what: string, name: keyof typeof windows): Row => ({
    what,
    figure: `${median(p99(name)).toFixed(2)} ms`,
    ratio: median(p99(name).map((each, round) => each / bare[round]!)).toFixed(2),
  });
  const ratio = median(p99('backup').map((each, round) => each / bare[round]!));
  const title = `Live p99 at ${PER_SECOND} commands a second, median of ${rounds} rounds in turn; the store, which stands for another machine, at nice ${storeNice}`;
  return table(title, [
    { ...row('during a backup, until it is present and checked in S3', 'backup'), goal: atMost(ratio, 1.2) },
    row('during its check and upload alone', 'storing'),
    row('during a bare BGSAVE', 'save'),
    row('with nothing else', 'idle'),
  ]);
}

export async function startLoad(settings: LoadSettings): Promise<{ end(): Promise<LoadSamples> }> {
  // In a session of its own, as if on a machine of its own: Linux shares processors out by session, and the workers of
  // the bench would take the client's share, which is not what a backup does to anybody.
  const options = { serialization: 'advanced', detached: true } as const;
  const load = fork(fileURLToPath(new URL('./live-load.ts', import.meta.url)), options);
  const failed = once(load, 'exit').then(([code]) => {
    throw new Error(`the live client ended with ${code}`);
  });
  failed.catch(() => undefined);
  const answer = () => Promise.race([once(load, 'message'), failed]);
  load.send(settings);
  await answer();
  return {
    end: async () => {
      load.send('end');
      return (await answer())[0] as LoadSamples;
    },
  };
}

export function percentile({ sentAt, tookMs }: LoadSamples, [from, to]: Window, share: number): number {
  const within = tookMs.filter((_, index) => sentAt[index]! >= from && sentAt[index]! <= to).sort();
  return within[Math.min(within.length - 1, Math.floor(share * within.length))] ?? Number.NaN;
}
