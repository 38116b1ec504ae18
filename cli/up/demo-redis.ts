import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type LeashedProcess, startLeashed } from '../../process/leash.ts';
import { connectRedis } from '../../redis/connection.ts';
import { fillDemo } from './demo-data.ts';

/** A Redis of our own for a first try: loopback, its own folder, a small set of every type. */
export async function startDemoRedis(options: {
  program: string;
  home: string;
  port: number;
  signal: AbortSignal;
}): Promise<{ process: LeashedProcess; url: string }> {
  const dir = join(options.home, 'demo-redis');
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const url = `redis://127.0.0.1:${options.port}`;
  const process = await startLeashed({
    name: 'demo redis',
    command: options.program,
    args: ['-'],
    cwd: dir,
    logFile: join(options.home, 'demo-redis.log'),
    stdin: ['bind 127.0.0.1', `port ${options.port}`, `dir "${dir}"`, 'save ""', 'daemonize no', ''].join('\n'),
  });
  try {
    for (let tries = 0; ; tries += 1) {
      const redis = await connectRedis({ url }).catch((error) => {
        if (tries > 200) throw error;
        return undefined;
      });
      if (redis) {
        await fillDemo(redis).finally(() => redis.disconnect());
        return { process, url };
      }
      await sleep(50, undefined, { signal: options.signal });
    }
  } catch (error) {
    await process.stop();
    throw error;
  }
}
