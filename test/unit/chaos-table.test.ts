import { expect, it } from 'vitest';
import { chaosTable, drawCases, nameOf, victims } from '../support/chaos-table.ts';

it('a printed seed draws the same cases again, and another one others', () => {
  const names = (seed: number) => drawCases(seed, 60).map(nameOf);
  expect(names(7)).toEqual(names(7));
  expect(names(8)).not.toEqual(names(7));
  expect(new Set(names(7)).size).toBe(60);
  expect(chaosTable(7).map(nameOf)).toEqual(expect.arrayContaining(names(7)));
});

it('whatever the seed, the first cases kill every victim in every runbook and at every boundary that changes state', () => {
  for (let seed = 0; seed < 8; seed += 1) {
    const first = drawCases(seed, 64);
    const pairs = new Set(first.map(({ runbook, victim }) => `${runbook} ${victim}`));
    const all = new Set(chaosTable().map(({ runbook, victim }) => `${runbook} ${victim}`));
    expect(pairs.size).toBe(all.size);
    expect(new Set(first.map(({ victim }) => victim)).size).toBe(victims.length);
    const boundaries = new Set(first.map(({ step, state }) => `${step} ${state}`));
    for (const step of ['fenceWrites', 'migrateKeys', 'unfenceWrites', 'swapIn', 'placeBackup', 'streamAsPrimary']) {
      expect([...boundaries]).toEqual(expect.arrayContaining([`${step} scheduled`, `${step} completed`]));
    }
    const paused = new Set(first.flatMap(({ step, fault }) => (fault === 'pause' ? [step] : [])));
    expect([...paused]).toEqual(
      expect.arrayContaining(['fenceWrites', 'migrateKeys', 'unfenceWrites', 'swapIn', 'placeBackup']),
    );
  }
});

it('at every boundary that changes state every victim stands still once and is cut off once', () => {
  const boundaries = {
    accidentalFlush: ['fenceWrites', 'migrateKeys', 'unfenceWrites'],
    restoreToPoint: ['migrateKeys'],
    safetyCopy: ['upload'],
    replaceAll: ['streamAsPrimary'],
  } as const;
  const table = chaosTable();
  for (const [runbook, steps] of Object.entries(boundaries)) {
    for (const step of steps) {
      for (const victim of victims) {
        const held = table.filter((each) => each.runbook === runbook && each.step === step && each.victim === victim);
        const faults = held.map(({ fault }) => fault);
        expect(faults.filter((fault) => fault === 'pause')).toHaveLength(1);
        expect(faults.filter((fault) => fault === 'silence' || fault === 'refusal')).toHaveLength(1);
      }
    }
  }
  const manners = (seed: number) => chaosTable(seed).filter(({ fault }) => fault === 'silence').length;
  expect(manners(0) + manners(1)).toBe(table.filter(({ fault }) => /silence|refusal/.test(fault)).length);
  expect(new Set(table.map(nameOf)).size).toBe(table.length);
});
