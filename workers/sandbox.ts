import { join } from 'node:path';
import { Worker } from '@temporalio/worker';
import { proofActivities } from '../activities/proof.ts';
import { openRepository } from '../repository/open.ts';
import { findServers } from '../sandbox/servers.ts';
import { sweepWorkFolders } from '../sandbox/work-folder.ts';
import { type RoleSettings, workerBasics } from './role.ts';

/** Sampled by content in every proof: a thousand keys find damage in one of three hundred with 96 % certainty. */
const SAMPLE_KEYS = 1_000;

/** Downloads what is in the store and loads it into servers of its own. One proof at a time: each takes a dump's memory. */
export async function sandboxWorker(settings: RoleSettings, servers: readonly string[]): Promise<Worker> {
  const repository = await openRepository(settings.config.repository);
  const workRoot = join(settings.home, 'proofs');
  await sweepWorkFolders(workRoot);
  return Worker.create({
    ...workerBasics(settings, 'sandbox'),
    taskQueue: 'rewind-sandbox',
    maxConcurrentActivityTaskExecutions: 1,
    activities: proofActivities(repository, {
      workRoot,
      servers: await findServers(servers),
      maxMemoryBytes: settings.config.sandbox.maxMemoryBytes,
      sampleKeys: SAMPLE_KEYS,
    }),
  });
}
