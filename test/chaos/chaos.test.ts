import { afterAll, describe, it } from 'vitest';
import { CASE_MS, chaosRun } from '../support/chaos-run.ts';
import { chaosTable, drawCases, nameOf } from '../support/chaos-table.ts';

/** Of the table; about as many as fit into half an hour on two cores. */
const CASES = 48;
/** After so many minutes no further case is begun. */
const MINUTES = 27;

const seed = Number(process.env.CHAOS_SEED ?? Math.floor(Math.random() * 1e6));
const cases = drawCases(seed, Number(process.env.CHAOS_CASES ?? CASES));
const title = `chaos table: ${cases.length} of ${chaosTable().length} cases, drawn by CHAOS_SEED=${seed}`;

describe(title, () => {
  const chaos = chaosRun(title);
  const until = Date.now() + Number(process.env.CHAOS_MINUTES ?? MINUTES) * 60_000;
  afterAll(() => chaos.end());

  for (const each of cases) {
    it(nameOf(each), { timeout: CASE_MS }, async ({ skip }) => {
      if (Date.now() > until) skip('its half-hour is over');
      await chaos.run(each);
    });
  }
});
