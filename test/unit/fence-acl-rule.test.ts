import { describe, expect, test } from 'vitest';
import { type AclRule, formatAclLine, parseAclLine } from '../../fence/acl-rule.ts';
import { bytesOfAcl, textOfAcl } from '../../fence/acl-text.ts';
import { type AclCommand, changesData } from '../../fence/command-table.ts';
import { withCommandsOf } from '../../fence/known-rules.ts';
import { fencingRules, writeRights } from '../../fence/write-rights.ts';

const command = (name: string, flags: string[], ...categories: string[]): AclCommand => ({
  name,
  flags,
  categories,
  arity: 2,
});

const commands = [
  command('get', ['readonly'], '@read', '@string'),
  command('set', ['write'], '@write', '@string'),
  command('flushall', ['write'], '@write', '@dangerous'),
  command('debug', ['admin'], '@admin', '@dangerous'),
  command('config|get', ['admin'], '@admin', '@dangerous'),
  command('config|set', ['admin'], '@admin', '@dangerous'),
  command('function|load', ['write'], '@write', '@scripting'),
  command('function|list', [], '@scripting'),
  command('vadd', ['write', 'module']),
  command('vsim', ['readonly', 'module']),
  command('odd.command', ['module']),
];

const rule = (line: string): AclRule => parseAclLine(line) as AclRule;
const rights = (rules: string) => writeRights(rule(`user u on ${rules}`), commands);

describe('a line of ACL LIST', () => {
  test.each([
    'user default on nopass ~* &* +@all',
    'user a off sanitize-payload resetchannels -@all',
    'user b on #2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 ~s* %R~r* resetchannels &c* -@all +@read (~k* resetchannels -@all +set) (~* resetchannels +@all)',
    'user (x on nopass ~a(b) resetchannels -@all +get',
    'user p on ~* -@all (~a) resetchannels -@all +get) (%W~(b) -@all)',
  ])('is given back as it was: %s', (line) => {
    expect(formatAclLine(rule(line))).toBe(line);
  });

  test('a selector ends where the next one begins, whatever its patterns end in', () => {
    expect(rule('user p on ~* -@all (~a) resetchannels -@all +get) (%W~(b) -@all)').selectors).toEqual([
      ['~a)', 'resetchannels', '-@all', '+get'],
      ['%W~(b)', '-@all'],
    ]);
  });

  test.each(['', 'user', 'users a on', 'user a  on', 'user a on (~k +get'])('%j is none', (line) => {
    expect(parseAclLine(line)).toBeUndefined();
  });

  test('bytes that are no text go through text unharmed', () => {
    for (const bytes of [
      [0x75, 0xff, 0xc3],
      [0xed, 0xb2, 0x80],
      [0xf0, 0x9f, 0x98, 0x80],
      [0xef, 0xbb, 0xbf, 0x61],
      [0xf0, 0x9f, 0xff],
    ]) {
      const buffer = Buffer.from(bytes);
      expect(bytesOfAcl(JSON.parse(JSON.stringify(textOfAcl(buffer))))).toEqual(buffer);
    }
    expect(textOfAcl(Buffer.from('bücher😀'))).toBe('bücher😀');
  });
});

describe('who may write', () => {
  test.each([
    ['+@all', true],
    ['-@all', false],
    ['+@all -@write', true], // DEBUG and the module's commands are left
    ['+@all -@write -debug -vadd -odd.command', false],
    ['-@all +@read', false],
    ['-@all +@read +set', true],
    ['+@all -@all', false],
    ['-@all +@write -@write', false],
    ['-@all +set|foo', true],
    ['-@all +@dangerous', true],
    ['-@all +config', false],
    ['-@all +function', true],
    ['-@all +function|list', false],
    ['-@all +function -function|load', false],
    ['-@all +SET', true],
    ['-@all +vadd', true],
    ['-@all +vsim', false],
    ['-@all +unknown +@unknown', false],
  ])('%s', (rules, may) => {
    expect(rights(rules).root).toBe(may);
  });

  test('a selector is judged by itself', () => {
    expect(rights('-@all (~k -@all +set) (~k -@all +get) (~* +@all)')).toEqual({ root: false, selectors: 2 });
  });

  test('a module’s command writes unless it says that it only reads', () => {
    expect(commands.filter(changesData).map(({ name }) => name)).toEqual([
      'set',
      'flushall',
      'debug',
      'function|load',
      'vadd',
      'odd.command',
    ]);
  });
});

describe('what a fence says', () => {
  test('only what the user has is taken, and selectors are said anew only where one may write', () => {
    expect(fencingRules(rule('user u on -@all +set'), commands)).toEqual(['-@write']);
    expect(fencingRules(rule('user u on +@all'), commands)).toEqual(['-@write', '-debug', '-vadd', '-odd.command']);
    expect(fencingRules(rule('user u on +@all -debug (~k -@all +get)'), commands)).toEqual([
      '-@write',
      '-vadd',
      '-odd.command',
    ]);
    expect(fencingRules(rule('user u on -@all (~k -@all +get) (~* +@all -vadd)'), commands)).toEqual([
      'clearselectors',
      '(~k -@all +get)',
      '(~* +@all -vadd -@write -debug -odd.command)',
    ]);
  });

  test('taken back, commands are those from before, and what else was changed meanwhile stays', () => {
    const before = rule('user u on #old ~a* &* +@all -flushall (~k -@all +set) (~gone -@all +set)');
    const now = rule('user u off #new ~b* &* +@all -flushall -@write (~new -@all +get) (~k -@all +set -@write)');
    expect(formatAclLine(withCommandsOf(now, before))).toBe(
      'user u off #new ~b* &* +@all -flushall (~new -@all +get) (~k -@all +set)',
    );
  });
});
