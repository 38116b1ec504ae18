import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { connectRedis } from '../../redis/connection.ts';
import { describeServer, measureDefaults } from '../../redis/server-description.ts';
import {
  type Flavour,
  missingFlavour,
  type RedisOptions,
  type RedisServer,
  randomPassword,
  startRedis,
} from '../support/servers.ts';

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function start(options: RedisOptions): Promise<{ server: RedisServer; redis: Redis }> {
  const server = await startRedis(options);
  undo.push(() => server.stop());
  const redis = await connectRedis({ url: `redis://127.0.0.1:${server.port}`, password: options.password });
  undo.push(() => redis.disconnect());
  return { server, redis };
}

const flavours: Flavour[] = ['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'];
const versions = {
  'redis-6.2': /^6\.2\./,
  'redis-7.0': /^7\.0\./,
  'redis-8.2': /^8\.2\./,
  'valkey-8': /^8\./,
  'valkey-9': /^9\./,
};
const setByTests = ['port', 'bind', 'dir', 'save', 'logfile'];

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))('no password that the server knows stands in its description', async () => {
    const secrets = Array.from({ length: 4 }, randomPassword) as [string, string, string, string];
    const { redis } = await start({
      flavour,
      password: secrets[0],
      config: { masterauth: secrets[1], masteruser: 'replicator' },
    });
    await redis.call('ACL', 'SETUSER', 'app', 'on', `>${secrets[2]}`, '~app:*', '+@all');
    if (flavour === 'redis-7.0') await redis.config('SET', 'tls-key-file-pass', secrets[3]);
    const described = await describeServer(redis, { includeAcl: true });
    const text = JSON.stringify(described);
    for (const secret of secrets) expect(text).not.toContain(secret);
    expect(described.withheld).toEqual(expect.arrayContaining(['masterauth', 'requirepass']));
    if (flavour === 'redis-7.0') expect(described.withheld).toContain('tls-key-file-pass');
    expect(described.configuration.masteruser).toBe('replicator');
    expect(described.server.version).toMatch(versions[flavour]);
    expect(described.unreadable).toEqual([]);
    const hash = createHash('sha256').update(secrets[2]).digest('hex');
    expect(described.acl?.find((line) => line.startsWith('user app '))).toContain(`#${hash}`);

    const without = await describeServer(redis, { includeAcl: false });
    expect(JSON.stringify(without)).not.toContain(hash);
    expect(without.withheld).toContain('acl');
  });

  test.skipIf(missingFlavour(flavour))(
    'against defaults measured on the same version only what was changed is left',
    async () => {
      const pristine = await start({ flavour });
      const defaults = await measureDefaults(pristine.redis, setByTests);
      const { redis, server } = await start({
        flavour,
        config: { maxmemory: '100mb', 'maxmemory-policy': 'allkeys-lru' },
      });
      const described = await describeServer(redis, { includeAcl: true, defaults });
      expect(described.configurationIs).toBe('changed-from-default');
      expect(Object.keys(described.configuration).filter((name) => !setByTests.includes(name))).toEqual([
        'maxmemory',
        'maxmemory-policy',
      ]);
      expect(described.configuration.port).toBe(String(server.port));
      const all = await describeServer(redis, { includeAcl: true });
      expect(all.configurationIs).toBe('all');
      expect(Object.keys(all.configuration).length).toBeGreaterThan(100);
    },
  );

  test.skipIf(missingFlavour(flavour) || flavour === 'redis-6.2')(
    'function libraries are named, without their code',
    async () => {
      const { redis } = await start({ flavour });
      const code =
        "#!lua name=orders\nredis.register_function('place', function() return 'hidden in the code' end)\nredis.register_function('cancel', function() return 1 end)";
      await redis.call('FUNCTION', 'LOAD', code);
      const described = await describeServer(redis, { includeAcl: true });
      expect(described.functions).toEqual([{ name: 'orders', engine: 'LUA', functions: ['cancel', 'place'] }]);
      expect(JSON.stringify(described)).not.toContain('hidden in the code');
    },
  );
});

test('a quiet server is described by the same bytes twice', async () => {
  const { redis } = await start({});
  const [first, second] = [
    await describeServer(redis, { includeAcl: true }),
    await describeServer(redis, { includeAcl: true }),
  ];
  expect(JSON.stringify(second)).toBe(JSON.stringify(first));
});

test('what the user may not read is said, and the rest is there', async () => {
  const { redis, server } = await start({});
  await redis.call('ACL', 'SETUSER', 'agent', 'on', '>agent', '+info', '+ping', '+module');
  const agent = await connectRedis({ url: `redis://agent@127.0.0.1:${server.port}`, password: 'agent' });
  undo.push(() => agent.disconnect());
  const described = await describeServer(agent, { includeAcl: true });
  expect(described.unreadable.map(({ what }) => what)).toEqual(['functions', 'acl', 'configuration']);
  expect(described.acl).toBeUndefined();
  expect(described.configuration).toEqual({});
});

test('a server that renamed CONFIG away is not described as one without configuration', async () => {
  const { redis } = await start({ config: { 'rename-command': 'CONFIG ""' } });
  expect((await describeServer(redis, { includeAcl: true })).unreadable).toMatchObject([{ what: 'configuration' }]);
});

test('a lost connection is an error and no short description', async () => {
  const { redis, server } = await start({});
  await server.stop();
  await expect(describeServer(redis, { includeAcl: true })).rejects.toThrow();
});
