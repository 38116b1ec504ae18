import { archiveFindings } from './archive.ts';
import { clockFindings } from './clock.ts';
import { dumpPlaceFindings } from './dump-place.ts';
import { fenceFindings } from './fence.ts';
import { type Finding, inOrder } from './finding.ts';
import { forkFindings } from './fork.ts';
import { identityFindings } from './identity.ts';
import { lossFindings } from './loss.ts';
import { isFailure, type Observed } from './observed.ts';
import { persistenceFindings } from './persistence.ts';
import { proofFindings } from './proof.ts';
import { reachFindings } from './reach.ts';
import { rightsFindings } from './rights.ts';
import { roleFindings, scheduleFindings } from './roles.ts';
import { sourceFindings } from './source.ts';
import { storeFindings } from './store.ts';
import { topologyFindings } from './topology.ts';

/** Everything that is to be said of an instance, worst first; equally bad in the order of a backup's way. */
export function findingsOf(observed: Observed): Finding[] {
  const { instance, policy } = observed;
  const view = isFailure(instance) ? undefined : instance;
  const redis = view && !isFailure(view.redis) ? view.redis : undefined;
  const host = view?.host;
  return inOrder([
    ...lossFindings(observed),
    ...roleFindings(observed),
    ...reachFindings(observed),
    ...(view ? fenceFindings(view, observed) : []),
    ...(view ? rightsFindings(view.rights, observed) : []),
    ...(redis ? topologyFindings(redis, observed) : []),
    ...(view ? identityFindings(view, observed) : []),
    ...sourceFindings(observed),
    ...(redis ? persistenceFindings(redis, host, observed) : []),
    ...(redis && host?.dump && policy.source === 'agent' ? dumpPlaceFindings(redis, host.dump, observed) : []),
    ...(redis && host?.memory ? forkFindings(redis, host.memory, observed) : []),
    ...(redis ? clockFindings(redis, observed) : []),
    ...storeFindings(observed),
    ...archiveFindings(redis, host, observed),
    ...proofFindings(redis, host, observed),
    ...scheduleFindings(observed),
  ]);
}
