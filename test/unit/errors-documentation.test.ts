import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { errorCatalogue } from '../../errors/catalogue.ts';

const page = fileURLToPath(new URL('../../docs/ERRORS.md', import.meta.url));

it('docs/ERRORS.md has every error code with what is safe and what to do next (UPDATE_DOCS=1 rewrites it)', () => {
  const text = pageOf();
  if (process.env.UPDATE_DOCS) writeFileSync(page, text);
  expect(readFileSync(page, 'utf8')).toBe(text);
});

function pageOf(): string {
  const entries = Object.entries(errorCatalogue).sort(([a], [b]) => (a < b ? -1 : 1));
  const sections = entries.map(
    ([code, { when, safe, next, retryable }]) =>
      `## ${code}\n\n${when}\n\n- Safe: ${safe}\n- Next: ${next}\n- Tried again by itself: ${retryable ? 'yes' : 'no'}\n`,
  );
  return `# Errors\n\nEvery error has a code, says what happened, what is safe and what to do next. In Temporal the code is the type of the\nfailure; with \`--json\` it stands under \`error.code\`. This page is made from \`errors/\`.\n\n${sections.join('\n')}`;
}
