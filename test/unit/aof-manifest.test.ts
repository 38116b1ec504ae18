import { describe, expect, test } from 'vitest';
import { formatAofManifest, parseAofManifest } from '../../aof/manifest.ts';
import { RewindError } from '../../errors/rewind-error.ts';

const written = `file appendonly.aof.2.base.rdb seq 2 type b
file appendonly.aof.1.incr.aof seq 1 type h
file appendonly.aof.2.incr.aof seq 2 type i
file appendonly.aof.3.incr.aof seq 3 type i
`;

describe('the manifest of an append-only directory', () => {
  test('as a server writes it is read and written again to the byte', () => {
    const manifest = parseAofManifest(Buffer.from(written));
    expect(manifest).toEqual({
      base: { name: 'appendonly.aof.2.base.rdb', seq: 2, type: 'base' },
      incrs: [
        { name: 'appendonly.aof.2.incr.aof', seq: 2, type: 'incr' },
        { name: 'appendonly.aof.3.incr.aof', seq: 3, type: 'incr' },
      ],
      history: [{ name: 'appendonly.aof.1.incr.aof', seq: 1, type: 'history' }],
    });
    expect(formatAofManifest(manifest)).toBe(written);
  });

  test.each(['a b.1.base.rdb', 'quote".aof', 'back\\slash', 'ümlaut.aof', 'tab\tline\nbell\x07', "it's.aof"])(
    'names that want quotes come back as they are: %j',
    (name) => {
      const manifest = { base: { name, seq: 1, type: 'base' as const }, incrs: [], history: [] };
      const text = formatAofManifest(manifest);
      expect(text).toMatch(/^file "[\x20-\x7e]*" seq 1 type b\n$/);
      expect(parseAofManifest(Buffer.from(text))).toEqual(manifest);
    },
  );

  test('comments are passed over, and fields of newer servers are kept', () => {
    const text = '# made by hand\nfile a.aof seq 7 type i startoffset 33\n';
    const manifest = parseAofManifest(Buffer.from(text));
    expect(manifest.incrs).toEqual([{ name: 'a.aof', seq: 7, type: 'incr', more: [['startoffset', '33']] }]);
    expect(formatAofManifest(manifest)).toBe('file a.aof seq 7 type i startoffset 33\n');
  });

  test.each([
    ['an empty one', ''],
    ['an empty line', '\n'],
    ['a line that does not end', 'file a seq 1 type b'],
    ['a path for a file', 'file ../a seq 1 type b\n'],
    ['no number', 'file a seq x type b\n'],
    ['number zero', 'file a seq 0 type b\n'],
    ['an unknown type', 'file a seq 1 type z\n'],
    ['a type that every object has', 'file a seq 1 type constructor\n'],
    ['a missing field', 'file a seq 1\n'],
    ['a quote that does not close', 'file "a seq 1 type b\n'],
    ['two bases', 'file a seq 1 type b\nfile b seq 2 type b\n'],
    ['incrs out of order', 'file a seq 2 type i\nfile b seq 1 type i\n'],
    ['zeroes', '\0'.repeat(100)],
    ['a line of 1025 bytes', `file ${'a'.repeat(1010)} seq 1 type b\n`],
    ['quotes that could be tried in many ways', `file "${'\\x41'.repeat(240)} seq 1\n`],
    ['quotes that could be tried in many ways, of the other kind', `file '${"\\'".repeat(480)} seq 1\n`],
  ])('%s is refused, with the line', (_name, text) => {
    const started = performance.now();
    expect(() => parseAofManifest(Buffer.from(text))).toThrow(RewindError);
    expect(performance.now() - started).toBeLessThan(2_000);
  });
});
