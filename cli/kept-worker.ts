import { setTimeout as sleep } from 'node:timers/promises';
import type { Role } from '../workers/role.ts';
import { startWorkerProcess, type WorkerProcess } from './worker-processes.ts';

/** Wait before a worker is started again, in milliseconds. */
const AGAIN_AFTER_MS = 1_000;
/** Who has lived for so long did not end because of what it was started with. */
const SOUND_AFTER_MS = 60_000;
/** How long an end waits for a start that goes on; such a worker ends with this process. In milliseconds. */
const GRACE_MS = 15_000;
/** So often in a row without ever living that long: the same again cannot help. */
const MOST_IN_A_ROW = 5;

/**
 * One role that is started again when it ends by itself, killed for want of memory, say: with it would go the Temporal
 * server that a runbook waits on. What it had begun is gone on with by the one that comes after it.
 *
 * @returns when the worker polls; its `ended` resolves when it is given up
 */
export async function keepWorkerProcess(
  role: Role,
  options: Parameters<typeof startWorkerProcess>[1],
  tell: (sentence: string) => void,
): Promise<WorkerProcess> {
  let current = await startWorkerProcess(role, options);
  const stopping = new AbortController();

  const keep = async (): Promise<number | null> => {
    let inARow = 0;
    for (;;) {
      const since = Date.now();
      const code = await current.ended;
      if (stopping.signal.aborted) return code;
      inARow = Date.now() - since < SOUND_AFTER_MS ? inARow + 1 : 1;
      if (inARow > MOST_IN_A_ROW) return code;
      const how = code === null ? 'killed' : `exit code ${code}`;
      tell(`Workers: the ${role} worker ended (${how}); it is started again`);
      for (let next: WorkerProcess | undefined; !next; ) {
        await sleep(AGAIN_AFTER_MS, undefined, { signal: stopping.signal }).catch(() => undefined);
        if (stopping.signal.aborted) return code;
        // One that ends before it polls counts as one that has not lived long.
        next = await startWorkerProcess(role, options).catch(() => undefined);
        if (next) current = next;
        else if (++inARow > MOST_IN_A_ROW) return code;
      }
      if (stopping.signal.aborted) await current.stop();
    }
  };
  const ended = keep();

  const stop = async () => {
    stopping.abort();
    await current.stop();
    await Promise.race([ended, sleep(GRACE_MS, undefined, { ref: false })]);
  };
  return { role, ended, stop };
}
