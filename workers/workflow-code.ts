import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The published package carries the workflows bundled; in a checkout the worker bundles the sources at its start. */
export function workflowCode(): { workflowBundle: { codePath: string } } | { workflowsPath: string } {
  const bundle = fileURLToPath(new URL('../workflow-bundle.js', import.meta.url));
  if (existsSync(bundle)) return { workflowBundle: { codePath: bundle } };
  return { workflowsPath: fileURLToPath(new URL('../workflows/index.ts', import.meta.url)) };
}
