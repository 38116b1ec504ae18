import { expect, test } from 'vitest';
import { judgeIdentity } from '../../repository/judge-identity.ts';

const recorded = {
  id: '6b0f4a3e-7a6c-4d6e-9a39-0d5a3a1f3c11',
  replicationIds: ['a'.repeat(40), 'b'.repeat(40)],
  addresses: ['10.0.0.5:6379', '10.0.0.6:6379'],
};
const held = { id: recorded.id, address: '10.0.0.5:6379' };
const known = 'b'.repeat(40);
const unknown = 'c'.repeat(40);
const none = '0'.repeat(40);

test('a name that nobody has is new', () => {
  expect(judgeIdentity({ replId: unknown, replId2: none, address: '10.0.0.5:6379' })).toBe('new');
});

test('an ordinary restart, with a new replication id, is the same instance to the agent that holds it', () => {
  const restarted = { recorded, heldByAgent: held, replId: unknown, replId2: none, address: '10.0.0.5:6379' };
  expect(judgeIdentity(restarted)).toBe('same');
});

test('a restore in place, with the ids of an older dump, is the same instance', () => {
  const restored = { recorded, heldByAgent: held, replId: unknown, replId2: unknown, address: '10.0.0.5:6379' };
  expect(judgeIdentity(restored)).toBe('same');
});

test('a failover to a listed replica is the same instance, also for the replica’s own agent', () => {
  const failedOver = { recorded, replId: unknown, replId2: known, address: '10.0.0.6:6379' };
  expect(judgeIdentity({ ...failedOver, heldByAgent: held })).toBe('same');
  expect(judgeIdentity(failedOver)).toBe('adopt-known-lineage');
});

test('an agent that lost its folder knows its server by the running replication id', () => {
  expect(judgeIdentity({ recorded, replId: known, replId2: none, address: '10.0.0.9:6379' })).toBe(
    'adopt-known-lineage',
  );
});

test('a second server under the same name is refused', () => {
  expect(judgeIdentity({ recorded, replId: unknown, replId2: none, address: '10.0.0.5:6379' })).toBe('refuse');
  const other = { id: 'c8e5f5a0-0a4f-4b7e-8a59-4df3b5a7e0b2', address: '10.0.0.5:6379' };
  expect(judgeIdentity({ recorded, heldByAgent: other, replId: unknown, address: '10.0.0.5:6379' })).toBe('refuse');
});

test('a configuration that was pointed at another server is refused, though the agent holds the identity', () => {
  expect(judgeIdentity({ recorded, heldByAgent: held, replId: unknown, replId2: none, address: '10.9.9.9:6379' })).toBe(
    'refuse',
  );
});

test('a copy that was made by replication and cut off is not taken for a failover', () => {
  expect(judgeIdentity({ recorded, replId: unknown, replId2: known, address: '10.9.9.9:6379' })).toBe('refuse');
});

test('the zeroes of a server without a second replication id match nobody', () => {
  const zeroes = { ...recorded, replicationIds: [...recorded.replicationIds, none] };
  expect(judgeIdentity({ recorded: zeroes, replId: unknown, replId2: none, address: '10.0.0.5:6379' })).toBe('refuse');
});
