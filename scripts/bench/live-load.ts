// The client of a live server: asks at a steady pace, whether answers come or not, and keeps how long each took.
// Started by latency.ts, which says over the channel when to begin and when to hand over.
import { Redis } from 'ioredis';
import { Random } from './random.ts';

export interface LoadSettings {
  readonly port: number;
  /** Numbers of the data set's keys; half of them are strings, and the rest come to be. */
  readonly keys: number;
  readonly perSecond: number;
}
/** Unix times in milliseconds at which commands were sent, and how many milliseconds each answer took. */
export interface LoadSamples {
  readonly sentAt: Float64Array;
  readonly tookMs: Float64Array;
}

const TICK_MS = 2;

process.once('disconnect', () => process.exit());
process.once('message', async ({ port, keys, perSecond }: LoadSettings) => {
  const redis = new Redis({ port, host: '127.0.0.1', maxRetriesPerRequest: null });
  await redis.ping();
  const random = new Random(7);
  const sentAt: number[] = [];
  const tookMs: number[] = [];
  const zero = performance.timeOrigin;
  const value = random.bytes(120);
  const ask = () => {
    const key = `str:${random.below(keys)}`;
    const since = performance.now();
    const answer: Promise<unknown> = random.chance(0.5) ? redis.set(key, value) : redis.get(key);
    answer.then(() => {
      sentAt.push(zero + since);
      tookMs.push(performance.now() - since);
    });
  };
  const begun = performance.now();
  let asked = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - begun) / 1000) * perSecond;
    for (; asked < due; asked++) ask();
  }, TICK_MS);
  process.on('message', async () => {
    clearInterval(timer);
    await redis.quit();
    const samples: LoadSamples = { sentAt: Float64Array.from(sentAt), tookMs: Float64Array.from(tookMs) };
    process.send!(samples, () => process.disconnect());
  });
  process.send!('running');
});
