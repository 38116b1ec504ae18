import { join } from 'node:path';
import { Worker } from '@temporalio/worker';
import { archiveSandboxActivities } from '../activities/archive-read.ts';
import { probeActivities, sandboxActivities } from '../activities/check.ts';
import { proofActivities } from '../activities/proof.ts';
import { startSandboxActivities } from '../activities/restored-files.ts';
import type { LoadedConfig } from '../config/load.ts';
import { foundPart } from '../process/found-parts.ts';
import { openRepository } from '../repository/open.ts';
import { sweepSandboxes } from '../restore/files/started-sandbox.ts';
import type { ProofSettings } from '../sandbox/prove.ts';
import { findServers } from '../sandbox/servers.ts';
import { sweepWorkFolders } from '../sandbox/work-folder.ts';
import { type RoleSettings, workerBasics } from './role.ts';

/** Sampled by content in every proof: a thousand keys find damage in one of three hundred with 96 % certainty. */
const SAMPLE_KEYS = 1_000;

/** Downloads what is in the store and loads it into servers of its own. One proof at a time: each takes a dump's memory. */
export async function sandboxWorker(settings: RoleSettings): Promise<Worker> {
  const proof = await sandboxSettings(settings.config, settings.home);
  const repository = await openRepository(settings.config.repository);
  await sweepWorkFolders(proof.workRoot);
  await sweepSandboxes(settings.home);
  return Worker.create({
    ...workerBasics(settings, 'sandbox'),
    taskQueue: 'rewind-sandbox',
    maxConcurrentActivityTaskExecutions: 1,
    activities: {
      ...proofActivities(repository, proof),
      ...startSandboxActivities(repository, settings.home, proof),
      ...archiveSandboxActivities(repository, settings.home, proof),
      ...sandboxActivities(proof),
      ...probeActivities(async () => repository),
    },
  });
}

/** What a sandbox on this machine proves with; without servers in the configuration, the Redis that the bootstrap found. */
export async function sandboxSettings({ sandbox }: LoadedConfig, home: string): Promise<ProofSettings> {
  return {
    workRoot: join(home, 'proofs'),
    servers: await findServers(sandbox.servers ?? [foundPart('redis').path]),
    maxMemoryBytes: sandbox.maxMemoryBytes,
    sampleKeys: SAMPLE_KEYS,
  };
}
