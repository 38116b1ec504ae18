import type { CrashFacts, Moment } from './facts.ts';

/** When the server died, as far as anybody saw it. */
export interface TimeOfDeath extends Moment {
  /** False: it was last seen alive then; it died at that time or later. */
  readonly exact: boolean;
}

/** The end of the process or a log's own word; else the latest moment at which something shows it alive. */
export function timeOfDeath(facts: CrashFacts): TimeOfDeath | undefined {
  const exact = facts.death?.diedAt;
  if (exact) return { ...exact, exact: true };
  const latest = seenAlive(facts)
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
    .at(-1);
  return latest && { ...latest, exact: false };
}

function seenAlive({ survey, local, death, backups, archive, lastSeenAt }: CrashFacts): Moment[] {
  const askedAt = Date.parse(survey.at);
  const ago = (seconds: number) => new Date(askedAt - seconds * 1000).toISOString();
  const newest = backups
    .map(({ time }) => time)
    .sort()
    .at(-1);
  return [
    ...(death?.lastSeenAlive ? [death.lastSeenAlive] : []),
    ...(lastSeenAt ? [{ at: lastSeenAt, source: 'the last check that reached it' }] : []),
    ...survey.servers.flatMap(({ address, follows }) =>
      follows?.downForSeconds === undefined
        ? []
        : [{ at: ago(follows.downForSeconds), source: `the replica ${address}, whose link went down then` }],
    ),
    ...(survey.sentinels?.answers ?? []).flatMap(({ address, down, lastReplySeconds }) =>
      down === 'no' || lastReplySeconds === undefined
        ? []
        : [{ at: ago(lastReplySeconds), source: `the Sentinel ${address}, which it last answered then` }],
    ),
    ...(local?.holdsUntil ? [local.holdsUntil] : []),
    // Where another one is primary its archive goes on from that.
    ...(archive && !survey.servers.some(({ role }) => role === 'primary')
      ? [{ at: archive.endAt, source: 'the end of its archive' }]
      : []),
    ...(newest ? [{ at: newest, source: 'the newest backup' }] : []),
  ];
}
