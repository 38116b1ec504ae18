import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { WorkerOptions } from '@temporalio/worker';
import { siblingScript } from '../process/sibling-script.ts';

type WorkflowCode = Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath' | 'dataConverter'>;

/** The published package carries the workflows bundled; in a checkout the worker bundles the sources at its start. */
export function workflowCode(): WorkflowCode {
  const converter = siblingScript(import.meta.url, './../workflows/payload-converter');
  const dataConverter = { payloadConverterPath: fileURLToPath(converter) };
  const bundle = fileURLToPath(new URL('../workflow-bundle.js', import.meta.url));
  if (existsSync(bundle)) return { workflowBundle: { codePath: bundle }, dataConverter };
  return { workflowsPath: fileURLToPath(new URL('../workflows/index.ts', import.meta.url)), dataConverter };
}
