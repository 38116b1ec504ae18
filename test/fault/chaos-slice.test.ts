import { afterAll, describe, it } from 'vitest';
import { CASE_MS, chaosRun } from '../support/chaos-run.ts';
import { type ChaosCase, nameOf } from '../support/chaos-table.ts';

/** The most telling cases of the chaos table; all of it is `npm run test:chaos`. */
const slice: readonly ChaosCase[] = [
  { runbook: 'accidentalFlush', step: 'fenceWrites', state: 'scheduled', victim: 'agent', fault: 'kill -9' },
  { runbook: 'accidentalFlush', step: 'gate', state: 'scheduled', victim: 'orchestrator', fault: 'kill -9' },
  { runbook: 'accidentalFlush', step: 'migrateKeys', state: 'scheduled', victim: 'redis', fault: 'kill -9' },
  { runbook: 'accidentalFlush', step: 'unfenceWrites', state: 'scheduled', victim: 'agent', fault: 'kill -9' },
  { runbook: 'accidentalFlush', step: 'unfenceWrites', state: 'scheduled', victim: 'temporal', fault: 'refusal' },
  { runbook: 'restoreToPoint', step: 'migrateKeys', state: 'scheduled', victim: 'agent', fault: 'silence' },
  { runbook: 'replaceAll', step: 'streamAsPrimary', state: 'scheduled', victim: 'agent', fault: 'pause' },
  { runbook: 'safetyCopy', step: 'upload', state: 'scheduled', victim: 's3', fault: 'kill -9' },
  { runbook: 'intoSandbox', step: 'startSandbox', state: 'scheduled', victim: 'sandbox', fault: 'kill -9' },
  { runbook: 'dataCorruption', step: 'gate', state: 'scheduled', victim: 'temporal', fault: 'kill -9' },
];

describe('an incident in which something dies', () => {
  const chaos = chaosRun('slice of the chaos table', slice, { worlds: 2 });
  afterAll(() => chaos.end(), CASE_MS);

  for (const each of slice) it(nameOf(each), { timeout: 2 * CASE_MS }, () => chaos.result(each));
});
