import { afterAll, describe, it } from 'vitest';
import { CASE_MS, chaosRun } from '../support/chaos-run.ts';
import { chaosTable, drawCases, nameOf } from '../support/chaos-table.ts';

/** After so many minutes no further case is begun. */
const MINUTES = Number(process.env.CHAOS_MINUTES ?? 27);
/** Side by side: a case waits more than it works. */
const WORLDS = Number(process.env.CHAOS_WORLDS ?? 3);

const seed = Number(process.env.CHAOS_SEED ?? Math.floor(Math.random() * 1e6));
const from = Number(process.env.CHAOS_FROM ?? 0);
/** Part of the names of the cases that are wanted: one that has failed is run again by itself. */
const only = process.env.CHAOS_ONLY ?? '';
const cases = drawCases(seed)
  .filter((each) => nameOf(each).includes(only))
  .slice(from, from + Number(process.env.CHAOS_CASES ?? Number.POSITIVE_INFINITY));
const title = `chaos table: ${cases.length} of ${chaosTable(seed).length} cases, drawn by CHAOS_SEED=${seed} from CHAOS_FROM=${from}`;

describe(title, () => {
  const chaos = chaosRun(title, cases, { worlds: WORLDS, until: Date.now() + MINUTES * 60_000 });
  afterAll(() => chaos.end(), CASE_MS);

  for (const each of cases) {
    it(nameOf(each), { timeout: MINUTES * 60_000 + 2 * CASE_MS }, async ({ skip }) => {
      if ((await chaos.result(each)) === 'skipped') skip('its half-hour is over');
    });
  }
});
