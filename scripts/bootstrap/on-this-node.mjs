/**
 * Runs `work` where this Node is new enough for the bootstrap, else says so and exits 1. This file and those that import it keep to
 * syntax that any Node with modules can parse.
 */
export function onThisNode(work) {
  if (Number(process.versions.node.split('.')[0]) >= 18) {
    work();
    return;
  }
  console.error(
    'redis-rewind: this is Node ' +
      process.versions.node +
      '; Node 18 or newer is needed to begin with (the rest it fetches itself)',
  );
  process.exitCode = 1;
}
