/** A server that is told values in commands. */
export interface CommandTarget {
  readonly name: 'redis' | 'valkey';
  readonly version: string;
}

/** What a server can be told of what a dump may hold. Each since which version: the commands' own pages on redis.io. */
export interface CommandFeatures {
  /** Function libraries, and a stream's counters: ENTRIESADDED, MAXDELETEDID of XSETID, ENTRIESREAD of XGROUP CREATE. */
  readonly sinceSeven: boolean;
  /** HPEXPIREAT: an expiry of a hash's field. */
  readonly fieldExpiries: boolean;
  /** XGROUP CREATECONSUMER, XTRIM MINID, SET … PXAT: without them this way is not taken at all. */
  readonly sinceSixTwo: boolean;
}

export function featuresOf({ name, version }: CommandTarget): CommandFeatures {
  // Valkey's first version, 7.2.5, is Redis' 7.2.
  if (name === 'valkey') return { sinceSixTwo: true, sinceSeven: true, fieldExpiries: isAtLeast(version, 9, 0) };
  return {
    sinceSixTwo: isAtLeast(version, 6, 2),
    sinceSeven: isAtLeast(version, 7, 0),
    fieldExpiries: isAtLeast(version, 7, 4),
  };
}

function isAtLeast(version: string, major: number, minor: number): boolean {
  const [first = 0, second = 0] = version.split('.').map((part) => Number.parseInt(part, 10) || 0);
  return first > major || (first === major && second >= minor);
}
