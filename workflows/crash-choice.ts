import { executeChild, ParentClosePolicy, workflowInfo } from '@temporalio/workflow';
import type { DecidedCrash } from '../activities/crash.ts';
import type { CrashChoice } from '../incident/crash/choice.ts';
import type { RestorePoint } from '../restore/restore-point.ts';
import type { RestoreSubject } from '../restore/restore-subject.ts';
import type { CrashSteps } from './crash-steps.ts';
import type { Gates } from './gate.ts';
import type { RestoreSteps } from './restore-steps.ts';
import type { restoreToPoint } from './restore-to-point.ts';
import { runFailure } from './run-failure.ts';
import type { RunStory } from './run-story.ts';

/** A run of the runbook for a crashed node. */
export interface CrashRecovery {
  readonly story: RunStory;
  readonly gates: Gates;
  readonly steps: CrashSteps;
  readonly restoring: RestoreSteps;
  readonly subject: RestoreSubject;
  /** `instance:NAME`, where a person named one at the start. */
  readonly into?: string;
}

/** What each choice means, step by step. Each step may run twice. */
export async function carryOut(
  run: CrashRecovery,
  choice: CrashChoice,
  decided: Pick<DecidedCrash, 'plan' | 'server'>,
): Promise<void> {
  const { subject, steps, restoring } = run;
  const { kind, target = '', detachFirst = [] } = choice;
  const server = decided.server ?? { name: 'redis', version: '7.0.0' };
  const runId = decided.plan.servers.find(({ address }) => address === target)?.runId;
  if (detachFirst.length > 0) await steps.detachReplicas(detachFirst);
  switch (kind) {
    case 'start-local':
    case 'start-empty':
      await steps.startServer(server, kind === 'start-empty');
      return;
    case 'promote': {
      const { address } = await steps.promoteReplica(target, runId);
      await steps.startServer(server, true, address);
      await steps.startAsReplica(address);
      return;
    }
    case 'replica-of':
      // Where its service takes no arguments the node is a primary with what it had for a moment: nobody may copy that.
      await steps.repointReplicas(target);
      await steps.startServer(server, true, target);
      await steps.startAsReplica(target);
      return;
    case 'dump-from':
      await steps.placeDumpFrom(subject, target, server);
      await steps.startServer(server, false);
      if (choice.followAgain) await steps.followAgain(target, choice.followAgain);
      return;
    case 'archive':
    case 'backup': {
      const point = kind === 'archive' ? await endOfArchive(restoring) : await restoring.findBackup(target);
      await steps.placeBackup(subject, point);
      await steps.startServer(point.server, false);
      return;
    }
    case 'other-instance':
      await executeChild<typeof restoreToPoint>('restoreToPoint', {
        workflowId: `restore/${subject.instance}-${subject.restoreId}`,
        args: [{ instance: subject.instance, to: 'latest', into: `instance:${target}` }],
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        staticSummary: `${subject.instance} into ${target}, for its host is lost`,
      });
      return;
    case 'leave-running':
    case 'look-again':
      return;
    default:
      throw runFailure('RESTORE_INPUT_INVALID', `no way ${kind satisfies never} is known`);
  }
}

/** As a backup, proven by loading it, as all that a server is started from. */
async function endOfArchive(restoring: RestoreSteps): Promise<RestorePoint> {
  const found = await restoring.findPoint('latest');
  return 'moment' in found ? restoring.materializeMoment(found.moment, workflowInfo().startTime.toISOString()) : found;
}
