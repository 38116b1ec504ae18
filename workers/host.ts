import { Worker } from '@temporalio/worker';
import { placeMomentActivities } from '../activities/archive-read.ts';
import { archiveShipActivities } from '../activities/archive-ship.ts';
import { probeActivities, viewActivities } from '../activities/check.ts';
import { compareActivities } from '../activities/compare.ts';
import { corruptionActivities } from '../activities/corruption.ts';
import { copiesActivities, crashedHostActivities } from '../activities/crash.ts';
import { dumpActivities } from '../activities/dump.ts';
import { fenceActivities, unfenceActivities } from '../activities/fence.ts';
import { flushReplayActivities } from '../activities/flush-replay.ts';
import { evidenceActivities } from '../activities/incident.ts';
import { restoreActivities } from '../activities/restore.ts';
import { placeFilesActivities } from '../activities/restored-files.ts';
import { saveActivities } from '../activities/save.ts';
import { openOnce } from '../repository/open.ts';
import { cleanUpAsPrimary } from '../restore/as-primary/clean-up.ts';
import { recoverQuietRewrites } from '../restore/quiet-rewrites.ts';
import { openInstance } from './instance-context.ts';
import { type RoleSettings, workerBasics } from './role.ts';

/** The agent beside one Redis: saves, pins, checks, uploads. It never loads a dump. */
export async function hostWorker(settings: RoleSettings, instance: string): Promise<Worker> {
  const contextOf = openInstance(settings);
  await undoWhatWasLeft(contextOf, instance);
  const atUrl = openInstance(settings, { atUrl: true });
  return Worker.create({
    ...workerBasics(settings, `host ${instance}`),
    taskQueue: `rewind-host-${instance}`,
    activities: {
      ...archiveShipActivities(atUrl),
      ...saveActivities(contextOf),
      ...dumpActivities(contextOf),
      ...viewActivities(contextOf),
      ...restoreActivities(contextOf),
      ...compareActivities(contextOf),
      ...placeFilesActivities(contextOf),
      ...placeMomentActivities(contextOf),
      ...fenceActivities(contextOf),
      ...unfenceActivities(contextOf),
      ...evidenceActivities(contextOf),
      ...flushReplayActivities(contextOf),
      ...copiesActivities(atUrl),
      ...crashedHostActivities(atUrl),
      ...corruptionActivities(atUrl, settings.config),
      ...probeActivities(openOnce(settings.config.repository)),
    },
  });
}

/**
 * An agent that was killed in the middle of a restore may have left settings of the server changed, or the server a
 * replica of nobody. It is put back here where the server answers, and by the step itself where it does not yet.
 */
async function undoWhatWasLeft(contextOf: ReturnType<typeof openInstance>, instance: string): Promise<void> {
  try {
    const { target, home } = await contextOf({ instance });
    await cleanUpAsPrimary(target, home);
    await recoverQuietRewrites({ target, home });
  } catch {
    // Redis is down, or its secret is not there yet: an agent has to start all the same, and the next restore undoes it.
  }
}
