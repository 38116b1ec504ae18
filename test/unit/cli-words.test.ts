import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { redisCli } from '../../check/redis-cli.ts';
import { shellWord } from '../../check/shell-word.ts';
import { bytesInWords, durationInWords } from '../../check/words.ts';
import { gateNotice } from '../../cli/gate-notice.ts';
import { outputTo } from '../../cli/output.ts';
import { COLUMNS, wrap } from '../../cli/wrap.ts';
import { RewindError } from '../../errors/rewind-error.ts';
import type { GateShown } from '../../workflows/gate-shown.ts';

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1_500, '1.50 kB'],
  [999_600, '1.00 MB'],
  [2_345_678_901, '2.35 GB'],
  [7e15, '7.00e+3 TB'],
])('%d bytes are %s', (bytes, words) => {
  expect(bytesInWords(bytes)).toBe(words);
});

test.each([
  [0, '0 s'],
  [59.6, '1 min'],
  [3_600, '1 h'],
  [3_665, '1 h 1 min'],
  [90_061, '1 d 1 h'],
  [86_400 * 3 + 59, '3 d'],
])('%d seconds are %s', (seconds, words) => {
  expect(durationInWords(seconds)).toBe(words);
});

test('prose stays within 80 columns, whole words in each line', () => {
  const text = 'word '.repeat(100).trim();
  const lines = wrap(text, 4).split('\n');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(COLUMNS);
  expect(lines.every((line) => line.startsWith('    word'))).toBe(true);
  expect(lines.join(' ').split(/\s+/).filter(Boolean)).toHaveLength(100);
});

test('further lines stand under the first by as much as is asked for', () => {
  const lines = wrap('word '.repeat(40).trim(), 2, 6).split('\n');
  expect(lines.map((line) => line.search(/\w/))).toEqual([2, 6, 6]);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(COLUMNS);
});

test('an error keeps its lines in a file, and on a terminal they fit 80 columns', () => {
  const error = new RewindError('REDIS_UNREACHABLE', `${'a sentence of its own. '.repeat(6)}\n    3 | an excerpt`);
  const shown = (isTTY: boolean) => {
    const stderr = Object.assign(new PassThrough(), { isTTY });
    expect(outputTo(false, new PassThrough(), stderr).error(error)).toBe(1);
    return String(stderr.read()).trimEnd().split('\n');
  };
  const [message, excerpt, safe, next, ...more] = shown(false);
  expect([message, excerpt, more]).toEqual([
    `REDIS_UNREACHABLE: ${'a sentence of its own. '.repeat(6)}`,
    '    3 | an excerpt',
    [],
  ]);
  expect([safe, next]).toEqual([expect.stringMatching(/^ {2}safe: /), expect.stringMatching(/^ {2}next: /)]);
  const onTerminal = shown(true);
  expect(Math.max(...onTerminal.map((line) => line.length))).toBeLessThanOrEqual(COLUMNS);
  expect(onTerminal).toContain('    3 | an excerpt');
  const words = (lines: readonly string[]) => lines.join(' ').split(/\s+/);
  expect(words(onTerminal)).toEqual(words(shown(false)));
});

test('what a gate shows keeps its lines in a file, and on a terminal they fit 80 columns without marks of bold type', () => {
  const gate: GateShown = {
    ...{ name: 'put back', plan: 'p', showing: 1, approvals: 0, required: 1, default: 'keep' },
    summary: `**Comes back:** ${'many keys of all databases, '.repeat(6)}\n\n**How long:** 1 s.`,
    choices: [
      { id: 'keep', text: 'Put back what is missing. '.repeat(6), loses: 'what was written since, '.repeat(6) },
    ],
  };
  expect(gateNotice('a/run', gate, false)).toContain(`  ${gate.summary.split('\n')[0]}\n\n  **How long:** 1 s.`);
  const lines = gateNotice('a/run', gate, true).split('\n');
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(COLUMNS);
  expect(lines).toContain('  --choice keep (default)');
  expect(lines).toContain('  How long: 1 s.');
});

test('a word longer than a line is not broken: it may be a path to copy', () => {
  const path = `/${'p'.repeat(120)}`;
  expect(wrap(`in ${path} it is`, 2).split('\n')).toEqual(['  in', `  ${path}`, '  it is']);
});

test('a command keeps a name with blanks or quotes one word', () => {
  expect(shellWord('/var/lib/redis')).toBe('/var/lib/redis');
  expect(shellWord("it's $HOME; rm")).toBe("'it'\\''s $HOME; rm'");
});

test.each([
  ['redis://10.0.0.5', 'redis-cli -h 10.0.0.5 -p 6379'],
  ['rediss://cache.internal:6380', 'redis-cli -h cache.internal -p 6380 --tls'],
  ['redis://[::1]:7000', 'redis-cli -h ::1 -p 7000'],
  ['unix:///run/my%20redis.sock', "redis-cli -s '/run/my redis.sock'"],
])('a server at %s is typed to as %s', (url, command) => {
  expect(redisCli(url)).toBe(command);
});
