import { afterEach, expect, test } from 'vitest';
import { type IncidentReport, incidentReportSchema } from '../../incident/report/incident-report.ts';
import { renderMarkdown } from '../../incident/report/markdown.ts';
import {
  incidentDirectory,
  incidentId,
  listIncidents,
  readReport,
  storeReport,
} from '../../incident/report/store-report.ts';
import { FileRepository } from '../../repository/file/file-repository.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

const folders: TemporaryFolder[] = [];

afterEach(async () => {
  for (const folder of folders.splice(0)) await folder.remove();
});

async function repository(): Promise<FileRepository> {
  const folder = await temporaryFolder('incidents');
  folders.push(folder);
  return new FileRepository(`file://${folder.path}`, folder.path);
}

const startedAt = '2026-11-24T18:45:00.000Z';

function report(more: Partial<IncidentReport> = {}): IncidentReport {
  return {
    formatVersion: 1,
    id: incidentId(new Date(startedAt), 'run-1'),
    revision: 1,
    instance: 'orders',
    kind: 'accidental-flush',
    workflowId: 'accidental-flush/orders',
    runId: '0f3c',
    outcome: 'recovered',
    summary: 'FLUSHALL emptied the server; 1,200 keys were put back from the backup of 18:00.',
    startedAt,
    endedAt: '2026-11-24T18:53:20.000Z',
    backup: '20261124T180000Z-1f3a9c04',
    steps: [
      {
        name: 'fenceWrites',
        text: 'Writes were fenced',
        startedAt,
        endedAt: '2026-11-24T18:45:01.000Z',
        result: 'done',
      },
      { name: 'warmUp', startedAt: '2026-11-24T18:52:00.000Z', result: 'skipped', detail: 'No command is configured.' },
    ],
    found: ['Since 2026-11-24 18:00:00 UTC Redis has run FLUSHALL once.'],
    loss: {
      from: '2026-11-24T18:00:00.000Z',
      to: '2026-11-24T18:44:58.000Z',
      sentence: 'Writes between 18:00:00 and 18:44:58 may be lost: 44 min 58 s.',
      lost: ['What was written after the backup and before the flush.'],
      unknown: ['who it was'],
    },
    decisions: [
      {
        at: '2026-11-24T18:47:00.000Z',
        what: 'answered',
        gate: 'restore',
        plan: 'ab'.repeat(32),
        message: 'approved by 1 of 1',
        answer: {
          kind: 'approve',
          accepted: true,
          approver: 'ada',
          identity: '4711@bastion',
          choice: 'keep-live',
          reason: 'shop is down',
          planNamed: true,
        },
      },
    ],
    figures: {
      keysRestored: 1_200,
      keysKept: 3,
      bytes: 123_456,
      fencedSeconds: 442.5,
      more: { 'rate, keys/s': 41_000 },
    },
    comparisons: [
      {
        name: 'counts and 10,000 sampled keys',
        result: 'equal',
        detail: 'Every sampled key has the content that the backup has.',
        keysCompared: 1_200,
        keysDifferent: 0,
      },
    ],
    files: [{ what: 'Keys that were live already', key: 'incidents/orders/x/kept-keys.txt' }],
    openPoints: ['Take FLUSHALL away from the user of the shop.'],
    ...more,
  };
}

test('a report stored twice is one report, and another one never takes its place', async () => {
  const store = await repository();
  const stored = await storeReport(store, report());
  expect(await storeReport(store, report())).toEqual(stored);
  expect(stored.report).toBe(`${incidentDirectory('orders', report().id)}report.json`);
  await expect(storeReport(store, report({ summary: 'Nothing happened.' }))).rejects.toMatchObject({
    code: 'OBJECT_EXISTS',
  });
  expect(await readReport(store, stored.report)).toEqual(report());
});

test('a comparison that ends later is a further revision, and lists show the latest', async () => {
  const store = await repository();
  await storeReport(store, report());
  const older = { startedAt: '2026-10-01T00:00:00.000Z', id: incidentId(new Date('2026-10-01T00:00:00Z'), 'run-0') };
  await storeReport(store, report({ ...older, kind: 'node-crash' }));
  await storeReport(store, report({ revision: 2, summary: 'Compared in full.' }));
  await storeReport(store, report({ instance: 'sessions' }));
  const listed = await listIncidents(store, 'orders');
  expect(listed.map(({ revision, content }) => [revision, content?.kind, content?.summary])).toEqual([
    [2, 'accidental-flush', 'Compared in full.'],
    [1, 'node-crash', report().summary],
  ]);
  expect(listed[0]?.report).toMatch(/report-2\.json$/);
  expect((await listIncidents(store)).map(({ instance }) => instance).sort()).toEqual(['orders', 'orders', 'sessions']);
});

test('what is damaged, of another incident or of a newer format is listed with its reason and read as nothing', async () => {
  const store = await repository();
  const place = (nonce: string) => `${incidentDirectory('orders', incidentId(new Date(startedAt), nonce))}report.json`;
  await store.putSmall(place('a'), Buffer.from('{'));
  await store.putSmall(place('b'), Buffer.from(JSON.stringify(report())));
  await store.putSmall(place('c'), Buffer.from(JSON.stringify({ ...report(), formatVersion: 2 })));
  const listed = await listIncidents(store, 'orders');
  expect(listed).toHaveLength(3);
  expect(listed.every(({ content, reason }) => content === undefined && reason !== undefined)).toBe(true);
  for (const [nonce, words] of [
    ['a', 'no JSON'],
    ['b', 'another incident'],
    ['c', 'newer'],
  ] as const) {
    await expect(readReport(store, place(nonce))).rejects.toMatchObject({
      code: 'INCIDENT_REPORT_INVALID',
      message: expect.stringContaining(words),
    });
  }
});

test('a report that no reader would take is not written', async () => {
  const store = await repository();
  await expect(storeReport(store, report({ id: '../../x' }))).rejects.toMatchObject({
    code: 'INCIDENT_REPORT_INVALID',
  });
  await expect(storeReport(store, { ...report(), outcome: 'fine' } as never)).rejects.toMatchObject({
    code: 'INCIDENT_REPORT_INVALID',
  });
  expect(await listIncidents(store)).toEqual([]);
});

test('what a run records at its gates is taken as it is', () => {
  const recorded = {
    at: startedAt,
    what: 'answered' as const,
    message: 'x',
    voided: [],
    answer: { kind: 'reject' as const, accepted: false, planNamed: false, event: { via: 'signal', ordinal: 1 } },
  };
  const parsed = incidentReportSchema.parse({ ...report(), decisions: [recorded] });
  expect(parsed.decisions[0]?.answer).toEqual({ kind: 'reject', accepted: false, planNamed: false });
});

test('the page is read aloud: what happened first, then who decided and what is open, at most 80 columns', () => {
  const page = renderMarkdown(report());
  expect(page).toMatchSnapshot();
  const long = page.split('\n').filter((line) => line.length > 80);
  expect(long).toEqual([]);
});

test('text from people and servers does not become markup, and long words are not broken', () => {
  const nasty = 'ok\n\n## Outcome: all fine\n| a | b | <script> [x](javascript:1) *bold*';
  const id = 'x'.repeat(120);
  const page = renderMarkdown(
    report({ found: [nasty, `word ${id} word`], decisions: [{ at: startedAt, what: 'answered', message: nasty }] }),
  );
  expect(page.split('\n').filter((line) => line.startsWith('## Outcome'))).toEqual([]);
  expect(page).not.toMatch(/[^\\]<script/);
  expect(page).not.toMatch(/[^\\]\[x/);
  expect(page.split('\n').map((line) => line.trim())).toContain(id);
});

test('a report with nothing but the least is a page too', () => {
  const least = report({
    steps: [],
    found: [],
    decisions: [],
    figures: {},
    comparisons: [],
    files: [],
    openPoints: [],
    loss: { lost: [], unknown: [] },
  });
  expect(renderMarkdown(least)).toContain('# Accidental flush of orders, 2026-11-24 18:45:00 UTC');
});
