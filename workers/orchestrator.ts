import type { Client } from '@temporalio/client';
import { Worker } from '@temporalio/worker';
import { answersActivities } from '../activities/answers.ts';
import { archiveCareActivities } from '../activities/archive-care.ts';
import { placeMomentActivities } from '../activities/archive-read.ts';
import { archiveShipActivities } from '../activities/archive-ship.ts';
import { catalogueActivities } from '../activities/catalogue.ts';
import { describePolicyActivity, probeActivities, viewActivities } from '../activities/check.ts';
import { compareActivities } from '../activities/compare.ts';
import { corruptionActivities, corruptionChoicesActivity } from '../activities/corruption.ts';
import { copiesActivities, crashDecisionActivities, crashedHostActivities } from '../activities/crash.ts';
import { dumpActivities } from '../activities/dump.ts';
import { adoptFenceActivities, fenceActivities, unfenceActivities } from '../activities/fence.ts';
import { evidenceActivities, reportActivities } from '../activities/incident.ts';
import { lossActivities } from '../activities/loss-beside.ts';
import { ownerActivities } from '../activities/owner.ts';
import { policyActivities } from '../activities/policy.ts';
import { restoreActivities } from '../activities/restore.ts';
import { restorePointActivities } from '../activities/restore-point.ts';
import { placeFilesActivities } from '../activities/restored-files.ts';
import { saveActivities } from '../activities/save.ts';
import { RewindError } from '../errors/rewind-error.ts';
import { openOnce } from '../repository/open.ts';
import { openInstance } from './instance-context.ts';
import { type RoleSettings, workerBasics } from './role.ts';
import { workflowCode } from './workflow-code.ts';

/** Temporal's own default, in milliseconds. */
const MOST_STICKY_MS = 10_000;

/** Workflows, policy and catalogue; and saves and archives of instances that have no agent, which come by replication. */
export async function orchestratorWorker(settings: RoleSettings, client: Client): Promise<Worker> {
  const contextOf = openInstance(settings);
  const atUrl = openInstance(settings, { atUrl: true });
  const withoutLogin = openInstance(settings, { login: false });
  return Worker.create({
    ...workerBasics(settings, 'orchestrator'),
    ...workflowCode(),
    taskQueue: 'rewind',
    // An orchestrator that died is asked for so long before a decision goes to another one.
    stickyQueueScheduleToStartTimeout: Math.min(MOST_STICKY_MS, settings.config.timeouts.heartbeatMs),
    activities: {
      ...policyActivities(settings.config, withoutLogin),
      ...ownerActivities(client),
      ...archiveCareActivities(withoutLogin, client),
      ...lossActivities(withoutLogin),
      ...archiveShipActivities(contextOf),
      ...catalogueActivities(withoutLogin),
      ...saveActivities(contextOf),
      ...dumpActivities(contextOf),
      ...describePolicyActivity(settings.config),
      ...viewActivities(contextOf),
      ...answersActivities(client),
      ...restorePointActivities(withoutLogin),
      ...reportActivities(withoutLogin),
      ...restoreActivities(contextOf),
      ...compareActivities(contextOf),
      ...placeFilesActivities(contextOf),
      ...placeMomentActivities(contextOf),
      ...fenceActivities(contextOf),
      ...unfenceActivities(contextOf),
      ...adoptFenceActivities(withoutLogin, client),
      ...evidenceActivities(contextOf),
      ...copiesActivities((subject) =>
        atUrl(subject).catch((error) => whereLoginIsMissing(error, withoutLogin(subject))),
      ),
      ...crashedHostActivities(atUrl),
      ...corruptionActivities(atUrl, settings.config),
      ...corruptionChoicesActivity(withoutLogin),
      ...crashDecisionActivities(withoutLogin, settings.config),
      ...probeActivities(openOnce(settings.config.repository)),
    },
  });
}

/** The agent holds the logins of its instance; where its host is lost, what can be seen without them is still worth seeing. */
function whereLoginIsMissing<T>(error: unknown, without: Promise<T>): Promise<T> {
  if (error instanceof RewindError && error.code === 'SECRET_MISSING') return without;
  throw error;
}
