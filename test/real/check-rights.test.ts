import type { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { type CommandRight, readRights } from '../../check/command-rights.ts';
import { aclFix } from '../../check/rights.ts';
import { connectRedis } from '../../redis/connection.ts';
import { type Flavour, missingFlavour, type RedisOptions, randomPassword, startRedis } from '../support/servers.ts';

const agent = { source: 'agent', backup: { rewriteAof: false, flagBelow: 0.5, includeAcl: true } } as const;
const byReplication = { ...agent, source: 'replication' } as const;

const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** A server with a user of these rules beside its administrator. */
async function serverWithUser(flavour: Flavour, rules: readonly string[], config: RedisOptions['config'] = {}) {
  const server = await startRedis({ flavour, config });
  undo.push(() => server.stop());
  const url = `redis://127.0.0.1:${server.port}`;
  const admin = await connectRedis({ url });
  undo.push(() => admin.disconnect());
  const password = randomPassword();
  await admin.call('ACL', 'SETUSER', 'rewind', 'on', `>${password}`, ...rules);
  const login = async (): Promise<Redis> => {
    const redis = await connectRedis({ url: url.replace('//', '//rewind@'), password });
    undo.push(() => redis.disconnect());
    return redis;
  };
  return { url, admin, login };
}

const inState = (rights: readonly CommandRight[], state: CommandRight['state']) =>
  rights.filter((right) => right.state === state).map(({ rule }) => rule);

describe.each<Flavour>(['redis-6.2', 'redis-7.0', 'redis-8.2', 'valkey-8', 'valkey-9'])('%s', (flavour) => {
  const here = test.skipIf(missingFlavour(flavour));
  const major = Number(/-(\d+)/.exec(flavour)?.[1]);

  here('the default user may all, and asking saves nothing', async () => {
    const { admin } = await serverWithUser(flavour, ['-@all', '+ping']);
    const saves = async () => /rdb_saves:(\d+)/.exec(await admin.info('persistence'))?.[1] ?? (await admin.lastsave());
    const before = await saves();
    for (const policy of [agent, byReplication]) {
      const rights = await readRights(admin, policy, 'default');
      expect(inState(rights, 'allowed')).toHaveLength(rights.length);
      expect(rights.length).toBeGreaterThanOrEqual(7);
    }
    expect(await saves()).toEqual(before);
    expect(await admin.info('persistence')).toContain('rdb_bgsave_in_progress:0');
    expect(await admin.info('replication')).toContain('connected_slaves:0');
  });

  here('what a user lacks is listed exactly, and the line that is given mends it', async () => {
    const { url, admin, login } = await serverWithUser(flavour, ['-@all', '+ping', '+info']);
    const redis = await login();
    const lacking = inState(await readRights(redis, agent, 'rewind'), 'denied');
    const functions = major >= 7 ? ['function|list'] : [];
    expect(lacking).toEqual(['time', 'config|get', 'bgsave', 'acl|list', 'module|list', ...functions]);

    const line = aclFix({ url, user: 'rewind' }, lacking);
    const words = line.slice(line.indexOf('ACL')).replaceAll("'", '').split(' ');
    await admin.call(words[0] as string, ...words.slice(1));
    const mended = await readRights(redis, agent, 'rewind');
    expect(inState(mended, 'allowed')).toHaveLength(mended.length);
  });

  here('a user with the least rights of docs/DEPLOYMENT.md lacks nothing', async () => {
    const rules = ['-@all', '+ping', '+info', '+time', '+client|setname', '+config|get', '+bgsave', '+bgrewriteaof'];
    const lists = ['+acl|list', '+module|list', ...(major >= 7 ? ['+function|list'] : [])];
    const { login } = await serverWithUser(flavour, [...rules, ...lists]);
    const rights = await readRights(await login(), agent, 'rewind');
    expect(inState(rights, 'denied')).toEqual([]);
    expect(inState(rights, 'unknown')).toEqual([]);
  });

  here('whether a limited user may replicate is never tried out: it would make Redis fork', async () => {
    const rules = ['-@all', '+ping', '+info', '+time', '+config|get', '+replconf', '+acl|list', '+module|list'];
    const { admin, login } = await serverWithUser(flavour, rules);
    const redis = await login();
    expect(inState(await readRights(redis, byReplication, 'rewind'), 'unknown')).toEqual(['psync']);
    if (major >= 7) {
      await admin.call('ACL', 'SETUSER', 'rewind', '+acl|dryrun');
      expect(inState(await readRights(redis, byReplication, 'rewind'), 'denied')).toContain('psync');
      await admin.call('ACL', 'SETUSER', 'rewind', '+psync');
      expect(inState(await readRights(redis, byReplication, 'rewind'), 'allowed')).toContain('psync');
    }
    expect(await admin.info('stats')).toContain('sync_full:0');
  });

  here('a command that was renamed away is told from one that is not allowed', async () => {
    const server = await startRedis({ flavour, config: { 'rename-command': 'BGSAVE ""' } });
    undo.push(() => server.stop());
    const redis = await connectRedis({ url: `redis://127.0.0.1:${server.port}` });
    undo.push(() => redis.disconnect());
    expect(inState(await readRights(redis, agent, 'default'), 'disabled')).toEqual(['bgsave']);
  });
});
