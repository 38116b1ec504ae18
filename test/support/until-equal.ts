import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';

/** Asks until it is so. An expectation that polls belongs to one test; this one may wait behind several, or before the first. */
export async function untilEqual<T>(ask: () => Promise<T>, wanted: T, ms = 30_000): Promise<void> {
  for (const deadline = Date.now() + ms; ; await sleep(200)) {
    const found = await ask();
    if (isDeepStrictEqual(found, wanted) || Date.now() > deadline) return expect(found).toEqual(wanted);
  }
}
