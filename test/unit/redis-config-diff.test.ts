import { describe, expect, test } from 'vitest';
import { type ConfigDefaults, configurationOf, describeConfiguration, isSecret } from '../../redis/config-diff.ts';

const server = { name: 'redis', version: '7.0.15' } as const;
const defaults: ConfigDefaults = {
  server,
  values: { maxmemory: '0', 'maxmemory-policy': 'noeviction', port: '0', requirepass: '' },
  setAtStart: ['port'],
};

test('only what differs from measured defaults is kept, and what they cannot know', () => {
  const live = { maxmemory: '100', 'maxmemory-policy': 'noeviction', port: '0', 'new-parameter': 'x', requirepass: '' };
  expect(describeConfiguration(live, server, defaults)).toEqual({
    configurationIs: 'changed-from-default',
    configuration: { maxmemory: '100', port: '0', 'new-parameter': 'x' },
    withheld: [],
  });
});

test.each([
  ['no defaults', undefined],
  ['defaults of another version', { ...defaults, server: { ...server, version: '7.0.14' } }],
  ['defaults of another fork', { ...defaults, server: { ...server, name: 'valkey' } } as ConfigDefaults],
])('with %s everything is kept and said to be everything', (_, known) => {
  const live = { maxmemory: '0', requirepass: '' };
  expect(describeConfiguration(live, server, known)).toEqual({
    configurationIs: 'all',
    configuration: live,
    withheld: [],
  });
});

test('a secret is withheld by name even where its value is the default of nobody', () => {
  const described = describeConfiguration({ requirepass: 'hunter2', masterauth: 'hunter3' }, server, defaults);
  expect(described).toMatchObject({ configuration: {}, withheld: ['requirepass', 'masterauth'] });
  expect(JSON.stringify(described)).not.toContain('hunter');
});

describe('taken for secret', () => {
  test.each([
    'requirepass',
    'masterauth',
    'primaryauth',
    'tls-key-file-pass',
    'tls-client-key-file-pass',
    'sentinel-pass',
    'search.oss-global-password',
    'module.api-token',
    'module.aws-secret-access-key',
    'x-apikey',
  ])('%s', (name) => expect(isSecret(name, 'value')).toBe(true));

  test('a value that is a URL with a login', () => {
    expect(isSecret('module.upstream', 'https://user:word@host/path')).toBe(true);
    expect(isSecret('module.upstream', 'https://host:8080/path')).toBe(false);
  });
});

describe('not taken for secret', () => {
  test.each([
    'masteruser',
    'tls-auth-clients',
    'tls-key-file',
    'notify-keyspace-events',
    'lazyfree-lazy-user-del',
    'aclfile',
  ])('%s', (name) => expect(isSecret(name, 'value')).toBe(false));

  test('a password that is not set', () => expect(isSecret('requirepass', '')).toBe(false));
});

test('the order is that of the names, whatever the server answers', () => {
  expect(JSON.stringify(configurationOf(['save', '', 'appendonly', 'no', 'maxmemory', '0']))).toBe(
    '{"appendonly":"no","maxmemory":"0","save":""}',
  );
});
