import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { findingsOf } from '../../check/findings-of.ts';
import { errorCatalogue } from '../../errors/catalogue.ts';
import { type FindingCase, failure, findingCases } from '../support/finding-cases.ts';

const page = fileURLToPath(new URL('../../docs/CHECK.md', import.meta.url));
const sources = fileURLToPath(new URL('../../check', import.meta.url));

test('docs/CHECK.md has every finding with an example that the tests hold (UPDATE_DOCS=1 rewrites it)', () => {
  const text = pageOf();
  if (process.env.UPDATE_DOCS) writeFileSync(page, text);
  expect(readFileSync(page, 'utf8')).toBe(text);
});

test('no finding is made that neither this page nor ERRORS.md explains', () => {
  const text = readFileSync(page, 'utf8');
  const made = readdirSync(sources).flatMap((file) => [
    ...readFileSync(`${sources}/${file}`, 'utf8').matchAll(/(?:code: |silent\(|\? |: )'([A-Z]+(?:_[A-Z]+)+)'/g),
  ]);
  expect(made.length).toBeGreaterThan(40);
  const unexplained = made.flatMap(([, code = '']) =>
    text.includes(`\`${code}\``) || code in errorCatalogue ? [] : [code],
  );
  expect(unexplained).toEqual([]);
});

function pageOf(): string {
  // What an error says for itself stands in ERRORS.md.
  const judged = findingCases.filter(([, observed]) => findingsOf(observed)[0]?.fix !== failure('').failure.next);
  const byCode = Map.groupBy(judged, ([, , code]) => code);
  const sections = [...byCode].sort(([a], [b]) => (a < b ? -1 : 1)).map(([code, cases]) => section(code, cases));
  return `${head}\n${sections.join('\n')}`;
}

function section(code: string, cases: readonly FindingCase[]): string {
  const severities = [...new Set(cases.map(([, , , severity]) => severity))].join(', ');
  const [, observed] = cases[0] as FindingCase;
  const { consequence = '', fix = '' } = findingsOf(observed)[0] ?? {};
  return `## \`${code}\`\n\n${severities}; found: ${cases.map(([what]) => what).join('; ')}.\n\n> ${consequence}\n\n\`\`\`text\n${fix}\n\`\`\`\n`;
}

const head = `# What \`rewind check\` finds

\`rewind check [NAME]\` tells whether an instance is recoverable as it stands. It asks the roles of a backup, each where it runs,
through a workflow (\`checkInstance\`) that changes nothing: the agent looks at Redis and its machine, the sandbox at what it can
load, and a small object goes the way of a backup: stored, looked at, read back by every role, removed. Where a role cannot be
asked, or Temporal is down, that is a finding, and what can be seen from here is looked at instead.

Each finding has a code, a severity, its consequence and what mends it. Exit code 0: nothing but \`info\`; 3: a \`warning\` or an
\`error\`. With \`--json\`: \`{ instances: { NAME: { findings: [{ code, severity, consequence, fix }] } } }\`. What failed on the way has
the code that [ERRORS.md](ERRORS.md) explains; those below are the ones that are judged. The examples are from the tests.
`;
