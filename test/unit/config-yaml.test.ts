import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../config/load.ts';
import { RewindError } from '../../errors/rewind-error.ts';

const file = { name: 'rewind.yaml', folder: '/etc/rewind', home: '/var/lib/rewind' };

function complaints(text: string): string[] {
  try {
    parseConfig(text, file);
    return [];
  } catch (error) {
    if (!(error instanceof RewindError) || error.code !== 'CONFIG_INVALID') throw error;
    return error.message.split('\n');
  }
}

describe('a file that is no YAML', () => {
  test.each([
    ['a tab', 'instances:\n\ta: {}', 'rewind.yaml:2:1: a tab in the indentation; YAML is indented with spaces'],
    [
      'a second document',
      'instances: {}\n---\ninstances: {}',
      'rewind.yaml:2:1: a second document (---); one file holds one',
    ],
    [
      'an alias of nothing',
      'deployment: *name',
      'rewind.yaml:1:13: an alias without an anchor before it; a text that begins with * needs quotes',
    ],
    ['a tag', 'deployment: !name x', 'rewind.yaml:1:13: a tag (!); a text that begins with ! needs quotes'],
    [
      'a reserved character',
      'deployment: @name',
      'rewind.yaml:1:13: a text that begins with a reserved character; put it in quotes',
    ],
    [
      'a key twice',
      'instances: {}\nsandbox: {}\ninstances: {}',
      'rewind.yaml:3:1: key instances stands twice; the first is in line 1',
    ],
    [
      'a key twice, quoted',
      'instances: {}\n"instances": {}',
      'rewind.yaml:2:1: key instances stands twice; the first is in line 1',
    ],
    ['a key that is a list', '[a]: 1', 'rewind.yaml:1:1: a key that is no text'],
    ['an open quote', 'deployment: "x', 'rewind.yaml:1:15: a bracket, quote or colon is missing'],
  ])('%s', (_, text, expected) => {
    expect(complaints(text)).toContain(expected);
  });

  test('an alias of itself ends', () => {
    expect(complaints('instances: &a\n  orders: *a')).toEqual([
      'rewind.yaml:2:11: an alias without an anchor before it; a text that begins with * needs quotes',
    ]);
  });

  test('a billion laughs take less than a second of a processor', () => {
    const levels = Array.from({ length: 12 }, (_, i) => `  l${i + 1}: &l${i + 1} [${`*l${i}, `.repeat(9)}*l${i}]`);
    const before = process.cpuUsage();
    expect(complaints(['instances:', '  l0: &l0 [lol]', ...levels].join('\n'))[0]).toMatch(
      /^rewind\.yaml:\d+:\d+: more than a configuration can hold \(20000 values, 24 levels, aliases followed\)$/,
    );
    const { user, system } = process.cpuUsage(before);
    expect(user + system).toBeLessThan(1_000_000);
  });

  test.each(['[', '{a: ', '- ', '!!seq ['])('a thousand nested "%s" is a problem, not a crash', (open) => {
    expect(complaints(open.repeat(1_000)).length).toBeGreaterThan(0);
  });
});

describe('YAML that is meant well', () => {
  test.each(['', '# nothing yet\n', '---\n', '\uFEFF# mark of the byte order\n', '{}'])(
    'an empty file is all defaults: %j',
    (text) => {
      expect(complaints(text)).toEqual([]);
    },
  );

  test('lines may end as on Windows', () => {
    expect(complaints('instances:\r\n  a:\r\n    urll: redis://h\r\n')).toEqual([
      'rewind.yaml:2:3: instances.a.url: is missing; accepted: redis://user@host:6379, rediss://… for TLS, or unix:///path/to/socket',
      expect.stringMatching(/^rewind\.yaml:3:5: unknown key instances\.a\.urll, did you mean url\?/),
    ]);
  });

  test('instances share what is written once, and a mistake in it is told where it is used', () => {
    const text = (every: string) =>
      `instances:\n  a:\n    url: redis://a\n    backup: &common { every: ${every} }\n  b:\n    url: redis://b\n    backup: *common\n`;
    expect(parseConfig(text('2h'), file).instances.b?.backup.everySeconds).toBe(7_200);
    expect(complaints(text('2x')).map((line) => line.split(': is')[0])).toEqual([
      'rewind.yaml:4:30: instances.a.backup.every',
      'rewind.yaml:4:30: instances.b.backup.every',
    ]);
  });

  test('a name of digits stays a name', () => {
    expect(Object.keys(parseConfig('instances:\n  0123: { url: redis://h }', file).instances)).toEqual(['0123']);
  });
});

describe('a secret that was written into the file', () => {
  const SECRET = 'Tr0ub4dor&3';
  test.each([
    `password: ${SECRET}`,
    `password: "${SECRET}"`,
    `password: *${SECRET}`,
    `password: &${SECRET}`,
    `password: !${SECRET} x`,
    `password: @${SECRET}`,
    `password: "${SECRET}\\q"`,
    `password: "${SECRET}`,
    `password: |\n      ${SECRET}`,
    `password:${SECRET}`,
    `password: [${SECRET}]`,
    `password: { ${SECRET} }`,
    `password: { value: ${SECRET} }`,
    `password: { env: ${SECRET} }`,
    `password: { env: A, file: ${SECRET} }`,
    `password: { env: [${SECRET}] }`,
    `passwort: ${SECRET}`,
    `tls: ${SECRET}`,
    `sentinel: { master: m, addresses: ["${SECRET}"], password: ${SECRET} }`,
    `replicas: ["redis://u:${SECRET}@h"]`,
    `replicas: ["${SECRET}"]`,
  ])('is refused and not shown: %s', (line) => {
    const found = complaints(`instances:\n  orders:\n    url: redis://h\n    ${line}\n`);
    expect(found.length).toBeGreaterThan(0);
    expect(found.join('\n')).not.toContain(SECRET);
    expect(found.join('\n')).not.toContain('Tr0ub4dor');
  });

  test('says what to write instead', () => {
    expect(complaints(`instances:\n  orders:\n    url: redis://h\n    password: ${SECRET}\n`)).toEqual([
      'rewind.yaml:4:15: instances.orders.password: is written out (not shown); a secret is never inline; accepted: { env: NAME } or { file: PATH }',
    ]);
    expect(complaints(`instances:\n  orders:\n    url: redis://h\n    password: 123456\n`)).toEqual([
      'rewind.yaml:4:15: instances.orders.password: is written out (not shown); a secret is never inline; accepted: { env: NAME } or { file: PATH }',
    ]);
  });
});

test('four hundred damaged files each load, or say where they are wrong', () => {
  const text = readFileSync(new URL('../../rewind.example.yaml', import.meta.url), 'utf8');
  let seed = 42;
  const random = (below: number) => (seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648) % below;
  const noise = [
    ':',
    '- ',
    '\n',
    '  ',
    '"',
    "'",
    '{',
    '}',
    '[',
    ']',
    '*a',
    '&a ',
    '!x ',
    '|',
    '#',
    '\t',
    '0',
    'é',
    '\0',
    '<<: ',
  ];
  let refused = 0;
  for (let round = 0; round < 400; round += 1) {
    let damaged = text;
    for (let change = 0; change <= random(3); change += 1) {
      const at = random(damaged.length);
      damaged = damaged.slice(0, at) + noise[random(noise.length)] + damaged.slice(at + random(4));
    }
    const found = complaints(damaged);
    refused += found.length > 0 ? 1 : 0;
    for (const line of found) expect(line).toMatch(/^rewind\.yaml:\d+:\d+: \S/);
  }
  expect(refused).toBeGreaterThan(100);
});
