import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive } from '../../process/process-identity.ts';

/** Waits until none of these processes runs any more; returns those that still do after the time. A zombie has ended. */
export async function untilGone(pids: readonly number[], timeoutMs = 8_000): Promise<number[]> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const alive = pids.filter((pid) => isAlive(pid));
    if (alive.length === 0 || Date.now() > deadline) return alive;
    await sleep(20);
  }
}
