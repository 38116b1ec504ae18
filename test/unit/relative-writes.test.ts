import { expect, test } from 'vitest';
import { AofScanner } from '../../aof/scanner.ts';
import { push } from '../../archive/read/cut.ts';
import { RelativeWrites } from '../../incident/flush/relative-writes.ts';
import { resp } from '../support/aof-file.ts';

type Line = readonly (string | number)[];

/** What is told of commands behind a flush, where these keys of database 0 were there before. */
function told(lines: readonly Line[], old: readonly string[]) {
  const relative = new RelativeWrites();
  relative.emptied('all');
  const scanner = new AofScanner({ command: (command) => relative.command(command) });
  for (const line of lines) push(scanner, resp(...(line as [string, ...string[]])));
  for (const key of old) relative.wasThere(0, Buffer.from(key));
  const keys = [...relative.told()].map(({ name, commands }) => [name.toString(), commands] as const);
  return { ...relative.figures, named: Object.fromEntries(keys) };
}

test('a write is relative where its key was there before and was not made anew since', () => {
  const { named, keys, writes } = told(
    [
      ['INCR', 'counter'],
      ['INCR', 'counter'],
      ['SET', 'made', 'nx'],
      ['APPEND', 'made', 'x'],
      ['DEL', 'gone'],
      ['LPUSH', 'gone', 'x'],
      ['INCR', 'of nobody before'],
      ['PEXPIREAT', 'counter', '1700000000000'],
    ],
    ['counter', 'made', 'gone'],
  );
  expect(named).toEqual({ counter: { incr: 2, pexpireat: 1 } });
  expect([keys, writes]).toEqual([1, 3]);
});

test('who takes an element takes another one, and what it is given to has another one then', () => {
  const figures = told(
    [
      ['RPUSH', 'queue', 'new'],
      ['LMOVE', 'queue', 'working', 'LEFT', 'RIGHT'],
      ['LPOP', 'queue'],
    ],
    ['queue'],
  );
  expect(figures).toMatchObject({ takes: 3, named: { queue: { rpush: 1, lmove: 1, lpop: 1 }, working: { lmove: 1 } } });
});

test('conditions are told, a SET with one among them', () => {
  const figures = told(
    [
      ['SET', 'lock', 'me', 'NX', 'PXAT', '1700000000000'],
      ['SETNX', 'once', '1'],
    ],
    ['lock', 'once'],
  );
  expect(figures).toMatchObject({ conditional: 2, named: { lock: { set: 1 }, once: { setnx: 1 } } });
});

test('what is made of old values is old, also where no such key was there', () => {
  const { named } = told(
    [
      ['SUNIONSTORE', 'all', 'one', 'two'],
      ['SADD', 'all', 'x'],
      ['RENAME', 'fresh', 'other'],
    ],
    ['one'],
  );
  expect(named).toMatchObject({ one: { sunionstore: 1 }, all: { sunionstore: 1, sadd: 1 } });
  expect(named).not.toHaveProperty('fresh');
});

test('a command that is not known counts as one that changes what is there', () => {
  expect(told([['SOMETHING.NEW', 'key', 'x']], ['key']).named).toEqual({ key: { 'something.new': 1 } });
});
