import { describe, expect, test } from 'vitest';

const { closingLine, countTests } = await import(
  new URL('../../scripts/bootstrap/closing-line.mjs', import.meta.url).href
);

const file = (status: string, ...assertions: string[]) => ({
  status,
  assertionResults: assertions.map((each) => ({ status: each })),
});

describe('the closing line', () => {
  test('counts what passed, failed and did not run', () => {
    const testResults = [file('passed', 'passed', 'skipped', 'todo'), file('failed', 'failed', 'passed', 'pending')];
    expect(closingLine(countTests({ testResults }))).toBe('2 passed, 1 failed, 3 skipped');
  });

  test('counts a file that could not be loaded as failed, though it holds no failed test', () => {
    expect(closingLine(countTests({ testResults: [file('failed'), file('passed', 'passed')] }))).toBe(
      '1 passed, 1 failed',
    );
  });

  test('says that nothing ran when nothing ran', () => {
    expect(closingLine(countTests({ testResults: [] }))).toBe('0 passed, 0 failed');
  });
});
