import { Worker } from '@temporalio/worker';
import { probeActivities, viewActivities } from '../activities/check.ts';
import { compareActivities } from '../activities/compare.ts';
import { corruptionActivities } from '../activities/corruption.ts';
import { copiesActivities, crashedHostActivities } from '../activities/crash.ts';
import { dumpActivities } from '../activities/dump.ts';
import { fenceActivities, unfenceActivities } from '../activities/fence.ts';
import { evidenceActivities } from '../activities/incident.ts';
import { restoreActivities } from '../activities/restore.ts';
import { placeFilesActivities } from '../activities/restored-files.ts';
import { saveActivities } from '../activities/save.ts';
import { openOnce } from '../repository/open.ts';
import { openInstance } from './instance-context.ts';
import { type RoleSettings, workerBasics } from './role.ts';

/** The agent beside one Redis: saves, pins, checks, uploads. It never loads a dump. */
export async function hostWorker(settings: RoleSettings, instance: string): Promise<Worker> {
  const contextOf = openInstance(settings);
  const atUrl = openInstance(settings, { atUrl: true });
  return Worker.create({
    ...workerBasics(settings, `host ${instance}`),
    taskQueue: `rewind-host-${instance}`,
    activities: {
      ...saveActivities(contextOf),
      ...dumpActivities(contextOf),
      ...viewActivities(contextOf),
      ...restoreActivities(contextOf),
      ...compareActivities(contextOf),
      ...placeFilesActivities(contextOf),
      ...fenceActivities(contextOf),
      ...unfenceActivities(contextOf),
      ...evidenceActivities(contextOf),
      ...copiesActivities(atUrl),
      ...crashedHostActivities(atUrl),
      ...corruptionActivities(atUrl, settings.config),
      ...probeActivities(openOnce(settings.config.repository)),
    },
  });
}
