import { describe, expect, test } from 'vitest';
import { parseInfo } from '../../redis/info.ts';
import { type ExpectedTopology, judgeTopology, type Topology, topologyOf } from '../../redis/topology.ts';

const primary: Topology = {
  mode: 'standalone',
  role: 'primary',
  runId: 'a'.repeat(40),
  processId: 1,
  replication: { id: 'b'.repeat(40), offset: 100 },
  replicas: [],
  failover: 'no-failover',
};
const replica: Topology = {
  ...primary,
  role: 'replica',
  primary: { address: '10.0.0.5:6379', up: true, synchronizing: false, lastHeardSeconds: 1 },
};
const fromPrimary: ExpectedTopology = { from: 'primary', replicas: [] };
const fromReplica: ExpectedTopology = { from: 'replica', replicas: [] };

function reasonOf(topology: Topology, expected: ExpectedTopology): string {
  const verdict = judgeTopology(topology, expected);
  return verdict.ok ? '' : verdict.reason;
}

function findingsOf(topology: Topology, expected: ExpectedTopology): readonly string[] {
  const verdict = judgeTopology(topology, expected);
  return verdict.ok ? verdict.findings : [`refused: ${verdict.reason}`];
}

describe('refused', () => {
  test.each<[string, Topology, ExpectedTopology, RegExp]>([
    ['a node of a cluster', { ...primary, mode: 'cluster' }, fromPrimary, /node of a Redis Cluster/],
    ['a Sentinel', { ...primary, mode: 'sentinel' }, fromPrimary, /is a Sentinel/],
    ['a replica where the primary is wanted', replica, fromPrimary, /replica of 10\.0\.0\.5:6379/],
    ['a primary where a replica is wanted', primary, fromReplica, /is a primary/],
    ['a failover that runs', { ...primary, failover: 'waiting-for-sync' }, fromPrimary, /failover is running/],
    [
      'a replica that has lost its primary',
      { ...replica, primary: { ...replica.primary!, up: false } },
      fromReplica,
      /lost its primary/,
    ],
    [
      'a replica that is being synchronized',
      { ...replica, primary: { ...replica.primary!, up: false, synchronizing: true } },
      fromReplica,
      /being synchronized/,
    ],
  ])('%s', (_, topology, expected, reason) => {
    expect(reasonOf(topology, expected)).toMatch(reason);
  });
});

describe('accepted', () => {
  test('a primary alone and a replica in sync, without a word', () => {
    expect(findingsOf(primary, fromPrimary)).toEqual([]);
    expect(findingsOf(replica, fromReplica)).toEqual([]);
  });

  test('a connected replica that the configuration does not name is told', () => {
    const topology = {
      ...primary,
      replicas: [{ address: '10.0.0.9:6379', state: 'online', offset: 1, lagSeconds: 0 }],
    };
    expect(findingsOf(topology, fromPrimary)).toEqual([expect.stringContaining('10.0.0.9:6379 is connected that')]);
    expect(findingsOf(topology, { ...fromPrimary, replicas: ['redis://10.0.0.9'] })).toEqual([]);
    expect(findingsOf(topology, { ...fromPrimary, replicas: ['redis://replica.internal:6379'] })).toEqual([]);
    expect(findingsOf(topology, { ...fromPrimary, sentinel: true })).toEqual([]);
  });

  test('a named replica that is not there, not in sync or far behind is told', () => {
    const named = { ...fromPrimary, replicas: ['redis://[fd00::6]:7000'] };
    const at = (state: string, lagSeconds: number) => ({
      ...primary,
      replicas: [{ address: 'fd00::6:7000', state, offset: 1, lagSeconds }],
    });
    expect(findingsOf(primary, named)).toEqual([
      expect.stringContaining('[fd00::6]:7000 that the configuration names'),
    ]);
    expect(findingsOf(at('online', 1), named)).toEqual([]);
    expect(findingsOf(at('send_bulk', 0), named)).toEqual([expect.stringContaining('not in sync (send_bulk)')]);
    expect(findingsOf(at('online', 60), named)).toEqual([expect.stringContaining('60 s ago')]);
  });

  test('a replica that heard of its primary long ago, and writes refused for want of replicas, are told', () => {
    const late = { ...replica, primary: { ...replica.primary!, lastHeardSeconds: 42 } };
    expect(findingsOf(late, fromReplica)).toEqual([expect.stringContaining('42 s ago')]);
    expect(findingsOf({ ...primary, minReplicasToWrite: 1 }, fromPrimary)).toEqual([
      expect.stringContaining('refuses writes now'),
    ]);
  });
});

test('our own dump on its way is not taken for a replica', () => {
  const info = parseInfo(
    [
      'role:master',
      'connected_slaves:2',
      'slave0:ip=redis-rewind.invalid,port=0,state=send_bulk,offset=0,lag=0',
      'slave1:ip=10.0.0.6,port=6379,state=online,offset=98,lag=1,type=replica',
      'master_replid2:0000000000000000000000000000000000000000',
    ].join('\r\n'),
  );
  expect(topologyOf(info)).toMatchObject({
    replicas: [{ address: '10.0.0.6:6379', state: 'online', offset: 98, lagSeconds: 1 }],
    replication: { offset: 0 },
  });
  expect(topologyOf(info).replication.previousId).toBeUndefined();
});
