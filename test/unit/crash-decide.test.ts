import { describe, expect, test } from 'vitest';
import { decideCrash } from '../../incident/crash/decide.ts';
import type { CrashFacts } from '../../incident/crash/facts.ts';
import { lossWindow } from '../../incident/crash/loss-window.ts';
import { crashPlanFacts } from '../../incident/crash/plan-facts.ts';
import {
  backup,
  crash,
  diedAt,
  localAof,
  localDump,
  primaryAddress,
  primaryGone,
  promoted,
  replica,
  secondsBefore,
  sentinels,
  survey,
} from '../support/crash-facts.ts';

const b = '10.0.0.6:6379';
const c = '10.0.0.7:6379';
const idsOf = (facts: CrashFacts) => decideCrash(facts).choices.map(({ id }) => id);
const choice = (facts: CrashFacts, id: string) => decideCrash(facts).choices.find((each) => each.id === id);

describe('a node whose append-only file is archived', () => {
  const archive = { endAt: secondsBefore(2) };
  const missing = localDump(0, { state: 'missing' });

  test('is started from the end of its archive where its own file is missing: that loses seconds, a backup an hour', () => {
    const facts = crash({ local: missing, backups: [backup(3_600)], archive });
    const decision = decideCrash(facts);
    expect(decision).toMatchObject({ primaryMayStart: false, default: 'archive' });
    expect(idsOf(facts)).toEqual(['archive', `backup:${backup(3_600).id}`]);
    expect(decision.lossWindow).toMatchObject({ from: secondsBefore(2), to: diedAt });
    expect(choice(facts, 'archive')).toMatchObject({ losesSeconds: 2, text: expect.stringContaining('its archive') });
    expect(idsOf(crash({ local: missing, backups: [], archive }))).toEqual(['archive']);
  });

  test('has a newer backup where the archive was switched off long ago: that is proposed, and the archive is none', () => {
    const facts = crash({ local: missing, backups: [backup(60)], archive: { endAt: secondsBefore(7_200) } });
    expect(idsOf(facts)).toEqual([`backup:${backup(60).id}`]);
  });

  test('and whose archive ends with the disaster itself is for a person to decide; the backup is proposed', () => {
    const facts = crash({
      local: missing,
      backups: [backup(3_600)],
      archive: { ...archive, destroyedAt: secondsBefore(9) },
    });
    expect(decideCrash(facts).default).toBe(`backup:${backup(3_600).id}`);
    expect(choice(facts, 'archive')?.text).toContain('took away much of the data');
  });

  test('whose host is lost goes on elsewhere from the end of the archive', () => {
    const facts = crash({ hostLost: true, otherInstances: ['orders-new'], backups: [backup(3_600)], archive });
    expect(decideCrash(facts)).toMatchObject({ default: 'other-instance:orders-new' });
    expect(choice(facts, 'other-instance:orders-new')).toMatchObject({ losesSeconds: 2 });
    const holdsIt = { ...facts, archive: { ...archive, destroyedAt: secondsBefore(9) } };
    expect(decideCrash(holdsIt).default).toBeUndefined();
  });

  test('and whose dump is whole but older than the end of the archive is not started from it unasked', () => {
    const facts = crash({ local: localDump(60), backups: [backup(3_600)], archive });
    expect(decideCrash(facts)).toMatchObject({ primaryMayStart: false, default: 'archive' });
    expect(idsOf(facts)).toEqual(['start-local', 'archive', `backup:${backup(3_600).id}`]);
    const same = { ...facts, archive: { endAt: secondsBefore(60) } };
    expect(decideCrash(same)).toMatchObject({ primaryMayStart: true, default: 'start-local' });
    const { death: _, ...unseen } = facts;
    expect(decideCrash(unseen).lossWindow).toMatchObject({ from: secondsBefore(2), to: secondsBefore(2) });
  });

  test('is started from its own file where that has all', () => {
    expect(decideCrash(crash({ local: localAof(120), backups: [], archive })).default).toBe('start-local');
  });
});

describe('a primary that nobody follows', () => {
  test('starts by itself from a file that is newer than the newest proven backup', () => {
    const facts = crash({ local: localDump(60), backups: [backup(3_600)] });
    const decision = decideCrash(facts);
    expect(decision).toMatchObject({ primaryMayStart: true, default: 'start-local' });
    expect(decision.lossWindow).toMatchObject({ from: secondsBefore(60), to: diedAt, unknown: [] });
    expect(decision.lossWindow.sentence).toContain('may be lost: 1 min');
    expect(idsOf(facts)).toEqual(['start-local', `backup:${backup(3_600).id}`]);
  });

  test('whose file is missing waits for a person, who is offered the backup', () => {
    const facts = crash({ local: localDump(0, { state: 'missing' }), backups: [backup(3_600)] });
    const decision = decideCrash(facts);
    expect(decision).toMatchObject({ primaryMayStart: false, default: `backup:${backup(3_600).id}` });
    expect(decision.reason).toContain('is not there: the server would start empty');
    expect(idsOf(facts)).not.toContain('start-empty');
    expect(decision.lossWindow).toMatchObject({ from: secondsBefore(3_600), to: diedAt });
  });

  test.each([
    ['older', localDump(7_200), 'older than the newest proven backup'],
    ['empty', localDump(60, { keys: 0 }), 'holds 0 keys'],
    ['fewer', localDump(60, { keys: 100 }), 'it may itself show the disaster'],
    [
      'damaged',
      localDump(60, { state: 'damaged', damage: { code: 'RDB_CORRUPT', message: '', offset: 77 } }),
      'damaged at byte 77',
    ],
  ])('whose file is %s than the newest proven backup is not started from it by itself', (_, local, words) => {
    const decision = decideCrash(crash({ local, backups: [backup(3_600)] }));
    expect(decision).toMatchObject({ primaryMayStart: false, default: `backup:${backup(3_600).id}` });
    expect(decision.reason).toContain(words);
  });

  test('whose append-only file has lost its manifest would start EMPTY although a dump lies there', () => {
    const local = {
      ...localAof(1),
      loads: 'aof-missing' as const,
      holdsUntil: undefined,
      aof: { form: 'missing' as const, sizeBytes: 0, missingFiles: [], unnamedFiles: ['appendonly.aof.1.base.rdb'] },
      dump: localDump(60).dump,
    };
    const decision = decideCrash(crash({ local, backups: [] }));
    expect(decision.primaryMayStart).toBe(false);
    expect(decision.reason).toContain('would start EMPTY');
    expect(decision.reason).toContain('dump.rdb with 950 keys is there and would not be loaded');
    expect(decision.choices).toEqual([]);
    expect(decision.default).toBeUndefined();
  });

  test('with an append-only file and a machine that stayed up has lost no acknowledged write', () => {
    const decision = decideCrash(crash({ local: localAof(120), backups: [backup(3_600)] }));
    expect(decision).toMatchObject({ primaryMayStart: true, default: 'start-local' });
    expect(decision.lossWindow).toMatchObject({ from: diedAt, to: diedAt });
    expect(decision.lossWindow.unknown.join()).toContain('whether the append-only file is whole to its end');
  });

  test('with an append-only file and a machine that went down too may have lost its last writes', () => {
    const local = { ...localAof(120), machineUpSince: secondsBefore(-60) };
    const decision = decideCrash(crash({ local }));
    expect(decision.lossWindow).toMatchObject({ from: secondsBefore(120), to: diedAt });
    expect(decision.lossWindow.unknown.join()).toContain('appendfsync everysec');
    const always = { ...local, settings: { ...local.settings, appendfsync: 'always' as const } };
    expect(decideCrash(crash({ local: always })).lossWindow).toMatchObject({ from: diedAt });
  });

  test('that has nothing anywhere starts empty: there is nothing to lose', () => {
    const decision = decideCrash(crash({ local: localDump(0, { state: 'missing' }) }));
    expect(decision).toMatchObject({ primaryMayStart: true, default: 'start-empty' });
  });

  test('whose files were not seen is not started by itself', () => {
    expect(decideCrash(crash({ backups: [backup(60)] }))).toMatchObject({
      primaryMayStart: false,
      reason: 'What it would load is not known.',
      default: `backup:${backup(60).id}`,
    });
  });

  test('a flagged or unproven backup is not what a file is measured by', () => {
    const backups = [
      backup(10, { flagged: 'It has 3 keys; the one before had 900.', keys: 3 }),
      backup(20, { state: 'unproven' }),
      backup(3_600),
    ];
    const decision = decideCrash(crash({ local: localDump(60), backups }));
    expect(decision).toMatchObject({ primaryMayStart: true, default: 'start-local' });
    expect(decision.choices.map(({ id }) => id)).toEqual([
      'start-local',
      `backup:${backups[2]!.id}`,
      `backup:${backups[0]!.id}`,
    ]);
    expect(decision.choices[2]?.text).toContain('It is flagged');
  });
});

describe('a primary that is followed', () => {
  test('is not started by itself while a replica holds data, and the replica is proposed', () => {
    const facts = crash({ servers: [replica(b)], local: localDump(60), backups: [backup(3_600)] });
    const decision = decideCrash(facts);
    expect(decision).toMatchObject({ primaryMayStart: false, default: `promote:${b}` });
    expect(decision.reason).toContain(`The replica ${b} holds 1,000 keys`);
    expect(idsOf(facts)).toEqual([`promote:${b}`, `dump-from:${b}`, `backup:${backup(3_600).id}`]);
    expect(decision.lossWindow.unknown.join()).toContain('replication is asynchronous');
  });

  test('is never started from older files while a replica points at it', () => {
    const older = crash({ servers: [replica(b)], local: localDump(60) });
    expect(idsOf(older)).not.toContain('start-local');
    expect(decideCrash(older).findings.join(' ')).toContain('it is not started from them');
    const asNew = crash({ servers: [replica(b, { dataAsOf: secondsBefore(300) })], local: localDump(60) });
    expect(idsOf(asNew)).toContain('start-local');
  });

  test('the same history and offset decide over the clocks', () => {
    const replication = { id: 'a'.repeat(40), offset: 5_000 };
    expect(idsOf(crash({ servers: [replica(b)], local: localDump(60, { replication }) }))).toContain('start-local');
    const behind = { ...replication, offset: 4_999 };
    expect(
      idsOf(
        crash({
          servers: [replica(b, { dataAsOf: secondsBefore(300) })],
          local: localDump(60, { replication: behind }),
        }),
      ),
    ).not.toContain('start-local');
  });

  test('an empty local file is never newer than a replica', () => {
    const facts = crash({
      servers: [replica(b, { dataAsOf: secondsBefore(9_000) })],
      local: localDump(0, { keys: 0 }),
    });
    expect(idsOf(facts)).not.toContain('start-local');
  });

  test('an append-only file that is far too short is not what replicas are made to copy', () => {
    const cutOff = replica(b, { ageSeconds: 9_600, dataAsOf: secondsBefore(9_000) });
    const aof = {
      form: 'parts' as const,
      sizeBytes: 100,
      lastWriteAt: secondsBefore(1),
      missingFiles: [],
      unnamedFiles: [],
    };
    const facts = crash({ servers: [cutOff], local: localAof(1, { aof }), backups: [backup(3_600)] });
    expect(idsOf(facts)).not.toContain('start-local');
    expect(idsOf({ ...facts, local: localAof(1) })).toContain('start-local');
  });

  test('a backup may only be used after the replicas are taken off', () => {
    const facts = crash({
      servers: [replica(b), replica(c)],
      backups: [backup(3_600)],
      local: localDump(0, { state: 'missing' }),
    });
    expect(choice(facts, `backup:${backup(3_600).id}`)?.detachFirst).toEqual([b, c]);
  });

  test('an append-only file that has more than a replica that was cut off for long is proposed before it', () => {
    const servers = [replica(b, { ageSeconds: 4_200, dataAsOf: secondsBefore(3_600) })];
    const facts = crash({ servers, local: localAof(1) });
    expect(decideCrash(facts)).toMatchObject({ primaryMayStart: false, default: 'start-local' });
    expect(choice(facts, `promote:${b}`)).toMatchObject({ losesSeconds: 3_600 });
  });

  test('the replica with the furthest offset is the best', () => {
    const ahead = { id: 'a'.repeat(40), offset: 6_000 };
    const facts = crash({
      servers: [replica(b, { behindBytes: 1_000 }), replica(c, { replication: ahead, behindBytes: 0 })],
    });
    expect(decideCrash(facts).default).toBe(`promote:${c}`);
    expect(idsOf(facts)).toEqual([`promote:${c}`, `promote:${b}`, `dump-from:${c}`]);
    expect(choice(facts, `promote:${b}`)?.loses).toContain('1000 bytes that another server has');
    expect(choice(facts, `promote:${c}`)?.text).toContain(
      `let ${b} follow it, then start the crashed node as its replica`,
    );
  });

  test('a replica of unknown age comes last and its loss is said to be unknown', () => {
    const unknown = replica(b, {
      ageSeconds: undefined,
      dataAsOf: undefined,
      replication: { id: 'd'.repeat(40), offset: 9_999 },
    });
    const facts = crash({ servers: [unknown, replica(c)] });
    expect(decideCrash(facts).default).toBe(`promote:${c}`);
    expect(choice(facts, `promote:${b}`)?.losesSeconds).toBeUndefined();
    const alone = crash({ servers: [unknown] });
    const window = lossWindow(alone, choice(alone, `promote:${b}`));
    expect(window.from).toBeUndefined();
    expect(window.sentence).toContain('is not known');
    expect(window.unknown.join()).toContain('how old its data is');
  });

  test('a replica that is being synchronized is no copy, and is waited for', () => {
    const syncing = replica(b, { follows: { address: primaryAddress, up: false, synchronizing: true } });
    const decision = decideCrash(crash({ servers: [syncing], local: localDump(60) }));
    expect(decision.primaryMayStart).toBe(false);
    expect(decision.choices.map(({ id }) => id)).not.toContain(`promote:${b}`);
    expect(decision.choices.map(({ id }) => id)).toContain('look-again');
  });

  test('a replica that was wiped is no reason to lose the backup', () => {
    const wiped = replica(b, { keys: 0, keysByDatabase: {} });
    const decision = decideCrash(
      crash({ servers: [wiped], local: localDump(0, { state: 'missing' }), backups: [backup(3_600)] }),
    );
    expect(decision.default).toBe(`backup:${backup(3_600).id}`);
    expect(decision.choices.map(({ id }) => id)).not.toContain(`promote:${b}`);
  });

  test('a replica with far fewer keys than the backup is offered and not proposed', () => {
    const facts = crash({
      servers: [replica(b, { keys: 5 })],
      local: localDump(0, { state: 'missing' }),
      backups: [backup(3_600)],
    });
    expect(decideCrash(facts).default).toBeUndefined();
    expect(idsOf(facts)).toContain(`promote:${b}`);
  });

  test('a replica that did not answer may hold data: nothing starts by itself', () => {
    const silent = [
      primaryGone,
      { address: b, foundBy: 'configured-replica' as const, code: 'REDIS_UNREACHABLE', reason: 'connect ETIMEDOUT' },
    ];
    const decision = decideCrash(crash({ survey: survey([], { silent }), local: localDump(60) }));
    expect(decision.primaryMayStart).toBe(false);
    expect(decision.reason).toContain(`${b} did not answer`);
    expect(decision.choices.map(({ id }) => id)).toEqual(['start-local', 'look-again']);
  });

  test('a node of a cluster is not promoted by hand', () => {
    expect(idsOf(crash({ servers: [replica(b, { mode: 'cluster' })] }))).toEqual([]);
  });
});

describe('another primary', () => {
  test('was promoted: the node comes back as its replica only', () => {
    const facts = crash({
      servers: [promoted(b), replica(c, { follows: { address: b, up: true, synchronizing: false } })],
      local: localDump(1),
      backups: [backup(60)],
    });
    const decision = decideCrash(facts);
    expect(decision).toMatchObject({ primaryMayStart: false, default: `replica-of:${b}` });
    expect(decision.reason).toContain('a second primary would split the data');
    expect(idsOf(facts)).toEqual([`replica-of:${b}`]);
    expect(decision.choices[0]?.loses).toContain('What only the crashed node had');
  });

  test('is known to the Sentinels and does not answer: nothing is started, it is asked again', () => {
    const silent = [
      primaryGone,
      { address: b, foundBy: 'sentinel' as const, code: 'REDIS_UNREACHABLE', reason: 'connect ECONNREFUSED' },
    ];
    const facts = crash({
      survey: survey([replica(c)], { silent, sentinels: sentinels({ primary: b, promoted: true }) }),
      local: localDump(1),
    });
    expect(decideCrash(facts)).toMatchObject({ primaryMayStart: false, default: 'look-again' });
  });

  test('is about to be promoted by the Sentinels: they are waited for', () => {
    const facts = crash({
      survey: survey([replica(b)], { sentinels: sentinels({ willPromote: true }) }),
      local: localDump(1),
    });
    const decision = decideCrash(facts);
    expect(decision).toMatchObject({ primaryMayStart: false, default: 'look-again' });
    expect(decision.reason).toContain('about to promote');
    expect(choice(facts, `promote:${b}`)?.text).toContain('Have the Sentinels fail over');
  });

  test('may have been promoted where no Sentinel answers', () => {
    const silentSentinels = sentinels({
      answers: [],
      silent: [{ address: 'x:26379', reason: 'gone' }],
      primary: undefined,
    });
    const decision = decideCrash(crash({ survey: survey([], { sentinels: silentSentinels }), local: localDump(1) }));
    expect(decision).toMatchObject({ primaryMayStart: false, reason: expect.stringContaining('No Sentinel answered') });
  });

  test('twice: a person has to say which one is right', () => {
    const facts = crash({ servers: [promoted(b), promoted(c)] });
    expect(decideCrash(facts).default).toBeUndefined();
    expect(idsOf(facts)).toEqual([`replica-of:${b}`, `replica-of:${c}`]);
  });

  test('that was emptied is not followed into the void while a backup has the data', () => {
    const empty = promoted(b, { keys: 0, keysByDatabase: {} });
    const facts = crash({ servers: [empty], local: localDump(0, { state: 'missing' }), backups: [backup(60)] });
    expect(decideCrash(facts).default).toBeUndefined();
    expect(idsOf(facts)).toEqual([`replica-of:${b}`, `backup:${backup(60).id}`]);
  });

  test('a replica without a configuration that starts as an empty primary is none', () => {
    const stranger = promoted(b, { keys: 0, keysByDatabase: {}, replication: { id: 'e'.repeat(40), offset: 0 } });
    expect(decideCrash(crash({ servers: [stranger], local: localDump(1) })).primaryMayStart).toBe(true);
  });
});

describe('a node that is not down', () => {
  const running = promoted(primaryAddress, { foundBy: 'configured-primary' });

  test('is left alone', () => {
    const facts = crash({ survey: survey([running], { silent: [] }), local: localDump(1), backups: [backup(60)] });
    expect(decideCrash(facts)).toMatchObject({ primaryMayStart: false, default: 'leave-running' });
    expect(decideCrash(facts).reason).toContain('It is not down');
    expect(idsOf(facts)).not.toContain('start-local');
  });

  test('but came back empty is not proposed to be left', () => {
    const facts = crash({ survey: survey([{ ...running, keys: 0 }], { silent: [] }), backups: [backup(60)] });
    expect(decideCrash(facts).default).toBeUndefined();
    expect(idsOf(facts)).toEqual(['leave-running', `backup:${backup(60).id}`]);
  });

  test.each(['REDIS_LOADING', 'REDIS_REFUSED_LOGIN'])('%s is waited for and never started a second time', (code) => {
    const facts = crash({ survey: survey([], { silent: [{ ...primaryGone, code }] }), local: localDump(1) });
    expect(decideCrash(facts)).toMatchObject({ primaryMayStart: false, default: 'look-again' });
  });
});

test('a node that came back as a second primary beside a promoted one is for a person', () => {
  const back = promoted(primaryAddress, { foundBy: 'configured-primary' });
  const facts = crash({
    survey: survey([back, promoted(b)], { silent: [] }),
    local: localDump(1),
    backups: [backup(60)],
  });
  const decision = decideCrash(facts);
  expect(decision.default).toBeUndefined();
  expect(decision.reason).toContain('the data is split');
  expect(idsOf(facts)).toEqual(['leave-running', `replica-of:${b}`]);
  expect(choice(facts, `replica-of:${b}`)?.loses).toContain('every write since it came back');
});

describe('a host that is gone', () => {
  test('gives its data to another instance, from the newest proven backup', () => {
    const facts = crash({ hostLost: true, otherInstances: ['orders-new', 'staging'], backups: [backup(60)] });
    expect(decideCrash(facts).primaryMayStart).toBe(false);
    expect(decideCrash(facts).default).toBeUndefined();
    expect(decideCrash({ ...facts, otherInstances: ['orders-new'] }).default).toBe('other-instance:orders-new');
    expect(idsOf(facts)).toEqual(['other-instance:orders-new', 'other-instance:staging']);
  });

  test('and a replica that lives: the replica first', () => {
    const facts = crash({ hostLost: true, servers: [replica(b)], otherInstances: ['staging'], backups: [backup(60)] });
    expect(decideCrash(facts).default).toBe(`promote:${b}`);
    expect(choice(facts, `promote:${b}`)?.text).not.toContain('start the crashed node');
  });

  test('while another primary took over: nothing is left to start', () => {
    const facts = crash({ hostLost: true, servers: [promoted(b)], backups: [backup(60)] });
    expect(decideCrash(facts)).toMatchObject({ primaryMayStart: false, default: 'leave-running' });
  });
});

describe('the window of loss', () => {
  test('ends when it was last seen alive, where nobody saw it die', () => {
    const facts = crash({
      death: undefined,
      lastSeenAt: secondsBefore(30),
      local: localDump(90),
      backups: [backup(3_600)],
    });
    const { lossWindow: window } = decideCrash(facts);
    expect(window).toMatchObject({ from: secondsBefore(90), to: secondsBefore(30) });
    expect(window.sentence).toContain('1 min or more');
    expect(window.unknown.join()).toContain('it was seen alive, not seen dying');
  });

  test('takes the moment when a link went down for a sign of life, and says what it cannot know', () => {
    const facts = crash({ death: undefined, servers: [replica(b)] });
    const { lossWindow: window } = decideCrash(facts);
    expect(window.to).toBe(diedAt);
    expect(window.unknown.join()).toContain('up to 60 s');
  });

  test('is another one for another choice', () => {
    const facts = crash({ servers: [replica(b)], backups: [backup(3_600)] });
    expect(lossWindow(facts, choice(facts, `backup:${backup(3_600).id}`))).toMatchObject({
      from: secondsBefore(3_600),
      to: diedAt,
    });
  });
});

test('what an approval is bound to has no ages in it, and changes with a failover', () => {
  const facts = crash({ servers: [replica(b)], backups: [backup(60)] });
  const later = {
    ...facts,
    survey: survey([replica(b, { ageSeconds: 900, uptimeSeconds: 90_000 })], { at: secondsBefore(-900) }),
  };
  const plan = (of: CrashFacts) => JSON.stringify(crashPlanFacts(of, decideCrash(of)));
  expect(plan(later)).toBe(plan(facts));
  const failedOver = { ...facts, survey: survey([promoted(b)]) };
  expect(plan(failedOver)).not.toBe(plan(facts));
});

test('ids are told apart and every choice says what it loses', () => {
  const facts = crash({
    servers: [replica(b), replica(c)],
    local: localAof(1),
    backups: [backup(60), backup(120), backup(180)],
  });
  const { choices } = decideCrash(facts);
  expect(new Set(choices.map(({ id }) => id)).size).toBe(choices.length);
  for (const each of choices) expect(each.loses).toMatch(/^\S.*\.$/);
  expect(choices.filter(({ kind }) => kind === 'backup')).toHaveLength(2);
});
