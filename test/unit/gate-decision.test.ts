import { describe, expect, it } from 'vitest';
import {
  type Answer,
  type Approval,
  agreeing,
  chosenOf,
  type GateOpen,
  judgeApproval,
  type ParkedStep,
  parseAnswer,
  refusedWhileParked,
  withApproval,
} from '../../workflows/gate-decision.ts';

const at = '2026-11-24T03:00:00.000Z';
const choices = [
  { id: 'keep-live', text: 'Keep.', loses: 'nothing' },
  { id: 'take-backup', text: 'Take.', loses: '3 keys' },
];
const gate: GateOpen = { name: 'restore', plan: 'aaaa', choices, default: 'keep-live', required: 2, approvals: [] };

/** Judges answers one after the other, as a run does. */
function judged(open: GateOpen, ...answers: Partial<Answer>[]): GateOpen & { said: string[] } {
  let state = open;
  const said: string[] = [];
  for (const answer of answers) {
    const outcome = judgeApproval(state, { kind: 'approve', approver: 'alice', ...answer }, at);
    said.push('refused' in outcome ? `refused: ${outcome.refused}` : outcome.told);
    if ('refused' in outcome) continue;
    const approvals = withApproval(state.approvals, outcome.approval);
    state = { ...state, approvals, chosen: chosenOf({ approvals, required: state.required }) };
  }
  return { ...state, said };
}

describe('who counts', () => {
  it.for([
    ['alice', 'alice'],
    ['alice', 'ALICE'],
    ['alice', ' alice '],
    ['ﬁona', 'fiona'],
  ])('%s and %s are one person', ([first, second]) => {
    const { approvals, chosen } = judged(gate, { approver: first }, { approver: second });
    expect(approvals).toHaveLength(1);
    expect(chosen).toBeUndefined();
  });

  it('two people who agree are enough, and a third comes too late', () => {
    const { chosen, said } = judged(gate, { approver: 'alice' }, { approver: 'bob' }, { approver: 'carol' });
    expect(chosen).toBe('keep-live');
    expect(said[2]).toBe('refused: restore is approved already: keep-live');
  });

  it('the starter does not, under any spelling of the name', () => {
    expect(judged({ ...gate, excluded: 'Alice' }, { approver: 'alice' }).said[0]).toContain('may not approve it');
  });
});

describe('what is chosen', () => {
  it('different choices do not add up: three people, three minds, no choice', () => {
    const open = { ...gate, choices: [...choices, { id: 'replay', text: 'Replay.', loses: 'nothing' }] };
    const { approvals, chosen } = judged(
      open,
      { approver: 'a', choice: 'keep-live' },
      { approver: 'b', choice: 'take-backup' },
      { approver: 'c', choice: 'replay' },
    );
    expect(approvals).toHaveLength(3);
    expect(agreeing(approvals)).toBe(1);
    expect(chosen).toBeUndefined();
  });

  it('who changes their mind takes the first approval back', () => {
    const { chosen, approvals, said } = judged(
      gate,
      { approver: 'alice', choice: 'take-backup' },
      { approver: 'alice', choice: 'keep-live' },
      { approver: 'bob', choice: 'take-backup' },
    );
    expect(said[1]).toBe('alice approved keep-live instead of take-backup (1 of 2)');
    expect(approvals.map(({ approver, choice }: Approval) => `${approver} ${choice}`)).toEqual([
      'alice keep-live',
      'bob take-backup',
    ]);
    expect(chosen).toBeUndefined();
  });

  it('without a choice the default counts, only where there is one; a single choice is its own default', () => {
    expect(judged(gate, {}).approvals[0]?.choice).toBe('keep-live');
    expect(judged({ ...gate, default: undefined }, {}).said[0]).toContain('a choice is needed');
    expect(judged({ ...gate, default: undefined, choices: choices.slice(1) }, {}).approvals[0]?.choice).toBe(
      'take-backup',
    );
    expect(judged({ ...gate, default: undefined, choices: [] }, {}).approvals[0]?.choice).toBe('approve');
  });

  it('a plan or a gate that is not the one shown is refused, and no plan is noted', () => {
    expect(judged(gate, { plan: 'bbbb' }).said[0]).toBe(
      'refused: the plan bbbb is not the one that is shown now: aaaa',
    );
    expect(judged(gate, { gate: 'swap' }).said[0]).toContain('the gate swap is not open');
    expect(judged(gate, { plan: 'aaaa' }).approvals[0]?.planNamed).toBe(true);
    expect(judged(gate, {}).approvals[0]?.planNamed).toBe(false);
  });
});

describe('the form of an answer', () => {
  it('is one line for a terminal and a page: no control characters, no marks that turn text round', () => {
    expect(parseAnswer('reject', { approver: 'al\u001b[31mice\n', reason: 'a\r\nb\u202ec' })).toMatchObject({
      approver: 'al [31mice',
      reason: 'a b c',
    });
  });

  it.for([
    undefined,
    null,
    'alice',
    7,
    [],
    {},
    { approver: 7 },
    { approver: 'a', plan: 1 },
    { approver: 'x'.repeat(201) },
  ])('approve %j is none', (payload) => {
    expect(parseAnswer('approve', payload)).toBeTypeOf('string');
  });

  it('a reason is needed where something ends', () => {
    expect(parseAnswer('reject', { approver: 'a' })).toBeTypeOf('string');
    expect(parseAnswer('abort', { approver: 'a', reason: ' ' })).toBeTypeOf('string');
    expect(parseAnswer('skip', { approver: 'a' })).toMatchObject({ approver: 'a' });
  });

  it('an input belongs to a retry and is an object', () => {
    expect(parseAnswer('retry', { approver: 'a', input: [1] })).toBeTypeOf('string');
    expect(parseAnswer('retry', { approver: 'a', input: { rate: 1 } })).toMatchObject({ input: { rate: 1 } });
    expect(parseAnswer('approve', { approver: 'a', input: { rate: 1 } })).not.toHaveProperty('input');
  });
});

describe('while parked', () => {
  const parked: ParkedStep = {
    step: 'placeFiles',
    plan: 'cccc',
    safeToSkip: false,
    refuses: ({ rate }) => (rate === 0 ? 'rate is more than 0' : undefined),
  };
  const answer = (change: Partial<Answer>): Answer => ({ kind: 'retry', approver: 'alice', ...change });

  it('a step that must not be left out is not, and another step or an older showing is not meant', () => {
    expect(refusedWhileParked(parked, answer({ kind: 'skip' }))).toContain('cannot be left out safely');
    expect(refusedWhileParked({ ...parked, safeToSkip: true }, answer({ kind: 'skip' }))).toBeUndefined();
    expect(refusedWhileParked(parked, answer({ gate: 'migrateKeys' }))).toBe(
      'migrateKeys is not parked; placeFiles is',
    );
    expect(refusedWhileParked(parked, answer({ plan: 'dddd' }))).toContain('is not what is shown now');
    expect(refusedWhileParked(parked, answer({ gate: 'parked', plan: 'cccc' }))).toBeUndefined();
  });

  it('corrected input is looked at before it is taken', () => {
    expect(refusedWhileParked(parked, answer({ input: { rate: 0 } }))).toBe('rate is more than 0');
    expect(refusedWhileParked(parked, answer({ input: { rate: 9 } }))).toBeUndefined();
  });
});
