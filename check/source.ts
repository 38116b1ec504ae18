import type { Finding } from './finding.ts';
import type { Observed } from './observed.ts';

/** How the dump is had, where it is not simply read from the disk. */
export function sourceFindings({ policy }: Observed): Finding[] {
  if (policy.source === 'agent') return [];
  return [
    {
      code: 'BY_REPLICATION',
      severity: 'info',
      consequence:
        'No agent stands beside this Redis: each backup is a full synchronization, the whole data over the network, and is not continued when the link breaks.',
      fix: `rewind.yaml: instances.${policy.instance}.host: {}, then beside Redis: rewind worker --role host --instance ${policy.instance}`,
    },
  ];
}
