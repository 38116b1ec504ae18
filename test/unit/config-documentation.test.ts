import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod';
import { configJsonSchema } from '../../config/json-schema.ts';
import { documentedKeys, keyTable } from '../../config/key-table.ts';
import { parseConfig } from '../../config/load.ts';
import { isInForce, NOT_IN_FORCE } from '../../config/not-in-force.ts';
import { formatDuration } from '../../config/quantities.ts';
import { dataClasses } from '../../policy/data-classes.ts';
import { instancesInForce, policyOf } from '../../policy/instance-policy.ts';

const root = new URL('../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');
const page = 'docs/CONFIGURATION.md';
const file = { name: 'rewind.example.yaml', folder: '/etc/rewind', home: '/var/lib/rewind' };

test('docs/CONFIGURATION.md lists the keys that the schema has (UPDATE_DOCS=1 rewrites the table)', () => {
  const keys = /<!-- keys -->\n[\s\S]*?<!-- \/keys -->/;
  const expected = `<!-- keys -->\n${keyTable()}<!-- /keys -->`;
  if (process.env.UPDATE_DOCS)
    writeFileSync(
      new URL(page, root),
      read(page).replace(keys, () => expected),
    );
  expect(keys.exec(read(page))?.[0]).toBe(expected);
});

test('docs/CONFIGURATION.md lists the data classes as they are', () => {
  const rows = Object.entries(dataClasses).map(([name, { backupEverySeconds, rtoSeconds, rpo, strategy }]) => {
    const every = backupEverySeconds ? formatDuration(backupEverySeconds) : 'none';
    const loss = rpo === undefined ? 'any' : rpo === 'last-backup' ? 'last backup' : formatDuration(rpo);
    return `| \`${name}\` | ${every} | ${formatDuration(rtoSeconds)} | ${loss} | ${strategy} |`;
  });
  expect(read(page)).toContain(`${rows.join('\n')}\n\n`);
});

test('the messages shown in docs/CONFIGURATION.md are the ones that come', () => {
  const shown = /```text\n([\s\S]*?)\n```/.exec(read(page))?.[1];
  const text = 'instances:\n  orders:\n    url: redis://h\n\n\n    bakup: {}\n    dataClass: audit-logs\n';
  expect(() => parseConfig(text, { ...file, name: 'rewind.yaml' })).toThrow(shown);
});

test('every key says what it means', () => {
  expect(documentedKeys().filter(({ meaning }) => meaning.length < 10)).toEqual([]);
});

test('every key that is listed as not in force exists', () => {
  const paths = documentedKeys().map(({ path }) => path.replace('NAME', '*'));
  for (const listed of NOT_IN_FORCE) expect(paths).toContain(listed);
  expect(isInForce('instances.*.drill.every')).toBe(false);
  expect(isInForce('instances.*.backup.every')).toBe(true);
});

test('rewind.example.yaml loads, and all of it is in force', () => {
  const config = parseConfig(read('rewind.example.yaml'), file);
  expect(config.notInForce).toEqual([]);
  expect(instancesInForce(config)).toEqual(['orders', 'sessions', 'pages']);
  expect(instancesInForce(config).map((name) => policyOf(config, name).source)).toEqual([
    'agent',
    'replication',
    'agent',
  ]);
});

test('what the example comments out is right, too', () => {
  const text = read('rewind.example.yaml').replaceAll(/^( +)# (\w+: .*)$/gm, '$1$2');
  expect(text).toContain('\n  apiKey:');
  const config = parseConfig(text, file);
  expect(config.temporal?.apiKey).toMatchObject({ env: 'TEMPORAL_CLOUD_KEY' });
  expect(config.repository.endpoint).toBe('https://s3.internal');
});

test('the JSON Schema takes what the loader takes and refuses what it refuses', () => {
  const schema = z.fromJSONSchema(configJsonSchema() as Parameters<typeof z.fromJSONSchema>[0]);
  expect(schema.safeParse(parse(read('rewind.example.yaml'))).error).toBeUndefined();
  for (const wrong of [
    { instanes: {} },
    { instances: { Orders: { url: 'redis://h' } } },
    { instances: { a: { url: 'http://h' } } },
    { instances: { a: { url: 'redis://h', password: 'hunter2' } } },
    { instances: { a: { url: 'redis://h', backup: { every: '6 hours' } } } },
    { instances: { a: { url: 'redis://h', dataClass: 'audit-logs' } } },
  ]) {
    expect(schema.safeParse(wrong).success, JSON.stringify(wrong)).toBe(false);
    expect(() => parseConfig(JSON.stringify(wrong), file)).toThrow();
  }
});

test('the JSON Schema says what each key means and which are not in force', () => {
  const instance = configJsonSchema().properties?.instances?.additionalProperties;
  const keys = typeof instance === 'object' ? (instance.properties ?? {}) : {};
  expect(keys.dataClass).toMatchObject({ default: 'session-store', enum: Object.keys(dataClasses) });
  expect(keys.drill?.description).toBe('Restore drills. Not in force in this version.');
  expect(keys.backup?.description).toBe('When and how backups are taken. Without it: by data class (`cache`: none).');
});
