import { setTimeout as sleep } from 'node:timers/promises';

/** Never throws: at the signal it ends at once. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
