import type { FenceOnRecord } from '../fence/fence-state.ts';
import { type Finding, failureFinding } from './finding.ts';
import { type InstanceView, isFailure, type Observed } from './observed.ts';
import { redisCli } from './redis-cli.ts';

/** Whether somebody is kept from writing, by whom, and whether that somebody is still there to end it. */
export function fenceFindings({ fence }: InstanceView, observed: Observed): Finding[] {
  if (!fence) return [];
  if (isFailure(fence)) return [failureFinding('The fence', fence.failure)];
  const findings = fence.fences.map((each) => openFence(each, observed));
  if (fence.strays.length > 0) {
    findings.push({
      code: 'FENCE_LEFT_USER',
      severity: 'warning',
      consequence: `Users of a fence that is not on record here are left on the server, with every right: ${fence.strays.join(', ')}. A fence was cut off, or its record is in another repository.`,
      fix: `${redisCli(observed.url)} ACL DELUSER ${fence.strays.join(' ')}`,
    });
  }
  return findings;
}

function openFence(fence: FenceOnRecord, { policy: { instance }, fenceOwners }: Observed): Finding {
  const { fenceId, owner, fencedAt } = fence;
  const runs = owner.workflowId === undefined ? false : fenceOwners?.[fenceId];
  const by = owner.workflowId ?? 'a run that left no name';
  const since = `Writes to ${instance} are fenced since ${fencedAt} by ${by}`;
  if (runs === true) {
    const consequence = `${since}, which is running and gives the rights back at its end. ${inForce(fence)}`;
    return { code: 'FENCE_IN_FORCE', severity: 'info', consequence, fix: `rewind status ${instance}` };
  }
  const gone =
    runs === false
      ? 'which is not running any more: nobody gives the rights back'
      : 'and Temporal could not be asked whether that is running';
  return {
    code: runs === false ? 'FENCE_WITHOUT_OWNER' : 'FENCE_OWNER_UNKNOWN',
    severity: runs === false ? 'error' : 'warning',
    consequence: `${since}, ${gone}. ${inForce(fence)}`,
    fix: `rewind unfence ${instance}${runs === false ? '' : ' --without-temporal (only once its run is known to be over)'}`,
  };
}

function inForce({ inForce: force, users, writers, ending }: FenceOnRecord): string {
  if (ending) return 'Its undoing was begun and has not ended.';
  if (force === 'yes') return `None of ${users} users can write.`;
  if (force === 'no') return 'On the server itself it is not in force: everybody writes.';
  if (force === 'unknown') return 'The server could not be asked who may write.';
  return `On the server itself it is only partly in force; who may write: ${writers.join(', ') || 'nobody'}.`;
}
