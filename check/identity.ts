import { type Finding, failureFinding } from './finding.ts';
import { type InstanceView, isFailure, type Observed } from './observed.ts';

/** Whether this is the server whose backups are under the name. */
export function identityFindings({ identity }: InstanceView, { policy, seenBy }: Observed): Finding[] {
  if (!identity) return [];
  if (isFailure(identity)) return [failureFinding('The identity of the instance', identity.failure)];
  // Only the agent holds what connects a restarted server with its backups.
  if (identity.judgement !== 'refuse' || seenBy === 'here') return [];
  return [
    {
      code: 'IDENTITY_REFUSED',
      severity: 'error',
      consequence: `The server answering as ${policy.instance} is not the one whose backups are in the repository: no backup is taken until a person says that it is.`,
      fix: `rewind adopt ${policy.instance}`,
    },
  ];
}
