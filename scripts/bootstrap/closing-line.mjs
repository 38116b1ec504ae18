/**
 * Counts vitest's JSON report. A file that could not be loaded holds no test, and counts as one that failed.
 * @param {{ testResults: { status: string, assertionResults: { status: string }[] }[] }} report
 */
export function countTests({ testResults }) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const { status, assertionResults } of testResults) {
    for (const { status: each } of assertionResults) {
      counts[each === 'passed' || each === 'failed' ? each : 'skipped']++;
    }
    if (status === 'failed' && !assertionResults.some((each) => each.status === 'failed')) counts.failed++;
  }
  return counts;
}

/** `N passed, N failed[, N skipped]`: machines read it. */
export function closingLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
