import { expect, test } from 'vitest';
import type { ServerDescription } from '../../redis/server-description.ts';
import { aclProposal, configurationProposal } from '../../restore/files/proposals.ts';
import { diffServer } from '../../restore/files/server-diff.ts';

const hash = (digit: string) => `#${digit.repeat(64)}`;

const description: ServerDescription = {
  formatVersion: 1,
  server: { name: 'redis', version: '7.0.15' },
  modules: [],
  acl: [`user default on nopass ~* &* +@all`, `user app on ${hash('a')} ~app:* resetchannels -@all +get`],
  configurationIs: 'changed-from-default',
  configuration: {
    bind: '10.0.0.5',
    'client-output-buffer-limit': 'normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60',
    dir: '/var/lib/redis',
    maxmemory: '1000',
    'notify-keyspace-events': '',
    'proc-title-template': '{title} "quoted"\n',
    save: '3600 1 300 100',
  },
  withheld: ['requirepass'],
  unreadable: [],
};

test('settings are proposed as a redis.conf reads them; what belongs to the old machine is only a comment', () => {
  const lines = configurationProposal(description).split('\n');
  expect(lines).toEqual(
    expect.arrayContaining([
      '#~ bind 10.0.0.5',
      '#~ dir /var/lib/redis',
      'maxmemory 1000',
      'client-output-buffer-limit slave 268435456 67108864 60',
      'save 3600 1',
      'save 300 100',
      'notify-keyspace-events ""',
      'proc-title-template "{title} \\"quoted\\"\\n"',
      '#   requirepass',
    ]),
  );
});

test('a server that never saved by itself is proposed so', () => {
  const never = { ...description, configuration: { save: '' } };
  expect(configurationProposal(never)).toContain('\nsave ""\n');
});

test('a backup without its users proposes none', () => {
  expect(aclProposal({ ...description, acl: undefined })).toBeUndefined();
  expect(aclProposal(description)).toContain(hash('a'));
});

test('the difference shows users and settings, and no hash of a password', () => {
  const diff = diffServer(description, {
    acl: [
      'user default on nopass ~* &* +@all',
      `user app on ${hash('b')} ~app:* resetchannels -@all +get`,
      `user gone on ${hash('c')} ~* -@all`,
    ],
    configuration: { ...description.configuration, maxmemory: '0', save: '' },
  });
  expect(diff.users.map(({ name, is }) => [name, is])).toEqual([
    ['app', 'different'],
    ['gone', 'extra'],
  ]);
  expect(diff.settings).toEqual([
    { name: 'maxmemory', now: '0', proposed: '1000' },
    { name: 'save', now: '', proposed: '3600 1 300 100' },
  ]);
  expect(diff.text).toContain('- maxmemory 0\n+ maxmemory 1000');
  expect(diff.text).toContain('- user app: other passwords');
  expect(diff.text).toContain('- user gone on #… ~* -@all');
  expect(JSON.stringify(diff)).not.toMatch(/[abc]{20}/);
});

test('other rules are shown, and the same server has no difference', () => {
  const other = [`user default on nopass ~* &* +@all`, `user app on ${hash('a')} ~* resetchannels -@all +get`];
  const diff = diffServer(description, { acl: other, configuration: description.configuration });
  expect(diff.text).toBe(
    '- user app on #… ~* resetchannels -@all +get\n+ user app on #… ~app:* resetchannels -@all +get',
  );
  expect(diffServer(description, description)).toEqual({ users: [], settings: [], text: '' });
  expect(diffServer(description, {}).users.map(({ is }) => is)).toEqual(['absent', 'absent']);
});
