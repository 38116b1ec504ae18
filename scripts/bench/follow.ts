// An agent that only follows, in a process of its own, until its parent ends it. Arguments: rewind.yaml, home. Started by ship.ts.
import { followAof } from '../../archive/follow/follow-aof.ts';
import type { FollowFigures } from '../../archive/follow/follow-options.ts';
import { followStream } from '../../archive/stream/follow-stream.ts';
import { loadConfig } from '../../config/load.ts';
import { openInstance } from '../../workers/instance-context.ts';
import { INSTANCE } from './stage.ts';

/** What it tells ten times a second. */
export interface FollowNews {
  readonly lagMs: number;
  readonly state: FollowFigures['state'];
  /** 0: it does not know yet how far it is. */
  readonly timeline: number;
  readonly segments: number;
  readonly shippedBytes: number;
  readonly unshippedBytes: number;
  readonly residentBytes: number;
  /** Processor time since it began, of all its threads. */
  readonly cpuMs: number;
}

const tellMs = 100;
const [path = '', home = ''] = process.argv.slice(2);
const config = await loadConfig({ path, env: process.env, cwd: home });
const context = await openInstance({ config, env: process.env, home })({ instance: INSTANCE });
const { archive } = context.policy;
if (!archive) throw new Error('the archive is off');
let figures: FollowFigures | undefined;
const end = new AbortController();
process.once('disconnect', () => process.exit());
process.once('message', () => end.abort());
setInterval(() => {
  if (!figures) return;
  const { lagMs, state, timeline, segments, shippedBytes, unshippedBytes } = figures;
  const residentBytes = process.memoryUsage.rss();
  const { user, system } = process.cpuUsage();
  const cpuMs = (user + system) / 1000;
  process.send!({
    ...{ lagMs, state, timeline, segments, shippedBytes, unshippedBytes, residentBytes, cpuMs },
  } satisfies FollowNews);
}, tellMs);
const io = { signal: end.signal, onProgress: () => undefined };
const { segmentBytes, segmentMs, spoolBytes } = archive;
const follows = archive.from === 'file' ? followAof : followStream;
await follows(
  context,
  {
    ...io,
    onFigures: (now) => {
      figures = now;
    },
  },
  { segmentBytes, segmentMs, spoolBytes },
);
process.exit(0);
