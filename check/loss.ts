import { nextAfterLoss } from '../archive/loss/told-loss.ts';
import type { Finding } from './finding.ts';
import type { Observed } from './observed.ts';

/** What is gone, and has not been brought back or looked at by anybody. */
export function lossFindings({ losses = [], policy: { instance } }: Observed): Finding[] {
  return losses.map(({ timeMs, sentence, kind, good }) => ({
    code: 'LOSS_NOTICED',
    severity: 'error',
    consequence: `Loss noticed at ${new Date(timeMs).toISOString()}: ${sentence} The last good moment (timeline ${good.timeline}, position ${good.position}) is pinned: nothing of it is pruned until the runbook was run, for 90 days at most.`,
    fix: nextAfterLoss(instance, { kind, good }),
  }));
}
