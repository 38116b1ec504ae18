import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '../../process/free-port.ts';
import { startLeashed } from '../../process/leash.ts';
import { untilReady } from '../../process/until-ready.ts';
import { connectRedis } from '../../redis/connection.ts';
import { redisBinary } from './servers.ts';
import { temporaryFolder } from './temporary-folder.ts';

export interface SentinelServer {
  readonly port: number;
  readonly password?: string;
  stop(): Promise<void>;
}

/** Starts a real `redis-server --sentinel` that watches the primary on this port under the name `main`. */
export async function startSentinel(options: {
  primaryPort: number;
  quorum?: number;
  password?: string;
  /** More lines for its configuration, such as `sentinel down-after-milliseconds main 500`. */
  config?: readonly string[];
}): Promise<SentinelServer> {
  const folder = await temporaryFolder('sentinel');
  const port = await freePort();
  // A Sentinel writes what it learns into its configuration file: it cannot be fed on standard input.
  const file = join(folder.path, 'sentinel.conf');
  const lines = [
    `port ${port}`,
    'bind 127.0.0.1',
    `dir ${folder.path}`,
    ...(options.password ? [`requirepass ${options.password}`] : []),
    `sentinel monitor main 127.0.0.1 ${options.primaryPort} ${options.quorum ?? 1}`,
    ...(options.config ?? []),
  ];
  await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600 });
  const logFile = join(folder.path, 'sentinel.log');
  const program = await startLeashed({
    name: 'sentinel',
    command: redisBinary(),
    args: [file, '--sentinel'],
    cwd: folder.path,
    logFile,
    cleanup: [folder.path],
  });
  const answers = () =>
    connectRedis({ url: `redis://127.0.0.1:${port}`, password: options.password }).then(
      (redis) => {
        redis.disconnect();
        return true;
      },
      () => false,
    );
  await untilReady(program, answers, { timeoutMs: 20_000, logFile });
  return { port, password: options.password, stop: () => program.stop() };
}
