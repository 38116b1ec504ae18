import { type CopiesSurvey, otherPrimaries, type ServerCopy } from './copies.ts';
import type { CrashFacts } from './facts.ts';

/** Other servers that act as the primary and matter: with data, with replicas, or named by the Sentinels. */
export function promotedPrimaries(survey: CopiesSurvey): ServerCopy[] {
  return otherPrimaries(survey).filter(
    ({ keys, replicas, address, replication }) =>
      keys > 0 || replicas.length > 0 || replication.previousId !== undefined || address === survey.sentinels?.primary,
  );
}

/** Replicas with whole data, the best first: by offset where they share a history, then by age, then by keys. */
export function replicasWithData({ survey }: CrashFacts): ServerCopy[] {
  return survey.servers
    .filter(
      ({ role, keys, follows, mode }) =>
        role === 'replica' && mode === 'standalone' && keys > 0 && !follows?.synchronizing,
    )
    .sort(fresherFirst);
}

function fresherFirst(a: ServerCopy, b: ServerCopy): number {
  if (a.replication.id === b.replication.id && a.replication.offset !== b.replication.offset) {
    return b.replication.offset - a.replication.offset;
  }
  const age = (copy: ServerCopy) => copy.ageSeconds ?? Number.MAX_SAFE_INTEGER;
  return age(a) - age(b) || b.keys - a.keys || (a.address < b.address ? -1 : 1);
}
