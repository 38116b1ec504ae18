import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runToEnd } from './child.mjs';
import { closingLine, countTests } from './closing-line.mjs';
import { bootstrap } from './main.mjs';
import { ensureNodeDependencies } from './node-dependencies.mjs';
import { say } from './progress.mjs';

/**
 * Installs what is missing, then runs the type check, the linter and the suite against the real parts, and ends with the line
 * `N passed, N failed[, N skipped]`. With arguments, only the suite, and they are vitest's.
 */
export async function test(args) {
  let counts;
  try {
    counts = await runAll(args);
  } catch (error) {
    process.stderr.write(`redis-rewind: ${error.message}\n`);
    counts = { passed: 0, failed: 1, skipped: 0 };
  }
  process.exitCode = counts.failed > 0 || counts.passed === 0 ? 1 : 0;
  process.stdout.write(`${closingLine(counts)}\n`);
}

async function runAll(args) {
  const node = await ensureNodeDependencies();
  const { file, missing } = await bootstrap('test');
  if (missing.length > 0) throw new Error(`the suite needs ${missing.join(', ')}; see above what to do`);
  const env = { REWIND_PARTS: file };

  // A check of the sources counts as a failed test, and the suite runs all the same: both results are wanted.
  let failedChecks = 0;
  if (args.length === 0) {
    for (const [name, script, ...rest] of [
      ['type check', 'node_modules/typescript/bin/tsc', '--noEmit'],
      ['lint and format', 'node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings'],
    ]) {
      const since = Date.now();
      const code = await runToEnd(node, [script, ...rest], env);
      say('test', `${name} ${code === 0 ? 'passed' : 'failed'}, ${((Date.now() - since) / 1000).toFixed(1)} s`);
      if (code !== 0) failedChecks++;
    }
  }

  const folder = mkdtempSync(join(tmpdir(), 'rewind-test-report-'));
  try {
    const report = join(folder, 'report.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const code = await runToEnd(node, ['scripts/bootstrap/vitest-main.mjs', 'run', ...reporters, ...args], env);
    const counts = countTests(JSON.parse(readFileSync(report, 'utf8')));
    // An error outside of any test (a leak, a rejection nobody awaited) shows in vitest's exit code only.
    if (code !== 0 && counts.failed === 0) counts.failed = 1;
    return { ...counts, failed: counts.failed + failedChecks };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
