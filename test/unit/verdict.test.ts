import { describe, expect, it } from 'vitest';
import { judge } from '../../backup/verdict.ts';
import type { Check, CheckName } from '../../sandbox/check.ts';

const names: CheckName[] = [
  'ctime',
  'crc64',
  'resizedb',
  'stored',
  'sha256',
  'redis-check-rdb',
  'load',
  'loaded-keys',
  'functions',
  'sample',
];
const allOk: Check[] = names.map((name) => ({ name, result: 'ok', detail: name }));
const withResult = (name: CheckName, result: Check['result'], detail: string): Check[] =>
  allOk.map((check) => (check.name === name ? { name, result, detail } : check));

describe('the state of a backup', () => {
  it('is verified only when every check was made and shown right', () => {
    expect(judge(allOk, 100, undefined, 0.5)).toEqual({ state: 'verified', flagged: undefined });
  });

  it.each(names)('is unproven, never verified, when %s was not made', (name) => {
    const checks = allOk.filter((check) => check.name !== name);
    expect(judge(checks, 100, undefined, 0.5)).toMatchObject({
      state: 'unproven',
      reason: `the check ${name} was not made`,
    });
  });

  it('is unproven with the reason when something could not be shown', () => {
    const checks = withResult('load', 'not-possible', 'no server of that version');
    expect(judge(checks, 100, undefined, 0.5)).toMatchObject({
      state: 'unproven',
      reason: 'no server of that version',
    });
  });

  it('is failed by one contradiction, whatever else could not be shown', () => {
    const checks = [
      ...withResult('sample', 'contradicted', '1 key differs'),
      { name: 'values', result: 'not-possible', detail: 'module' } as const,
    ];
    expect(judge(checks, 100, undefined, 0.5)).toMatchObject({ state: 'failed', reason: '1 key differs' });
  });
});

describe('a dataset that may itself be the disaster', () => {
  it('is flagged when it is empty, also without an earlier backup', () => {
    expect(judge(allOk, 0, undefined, 0.5).flagged).toMatch(/empty/);
  });

  it('is flagged under the configured part of the last verified backup, not at it', () => {
    expect(judge(allOk, 499, 1000, 0.5).flagged).toMatch(/499 keys, the last verified backup has 1000/);
    expect(judge(allOk, 500, 1000, 0.5).flagged).toBeUndefined();
  });
});
