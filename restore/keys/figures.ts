/** What came of the dump's keys. */
export interface PutKeysFigures {
  /** Keys that were not there and were put. */
  readonly restored: number;
  /** Keys that were there and stayed as they were. */
  readonly kept: number;
  /** Keys that were there and were replaced. */
  readonly replaced: number;
  /** Keys whose time had passed by the live server's clock: never sent. */
  readonly expired: number;
  readonly notSelected: number;
  /** Function libraries that the live server has now from the dump. */
  readonly functionLibraries: number;
  /** Function libraries that were passed over: kept ones of the live server, or a server that has none. */
  readonly functionLibrariesPassedOver: number;
  /** Of the dump, read and done with. */
  readonly bytes: number;
  /** Keys put (restored and replaced) by database. */
  readonly byDatabase: Readonly<Record<string, number>>;
}

export const noFigures: PutKeysFigures = {
  restored: 0,
  kept: 0,
  replaced: 0,
  expired: 0,
  notSelected: 0,
  functionLibraries: 0,
  functionLibrariesPassedOver: 0,
  bytes: 0,
  byDatabase: {},
};

/** Counts as they come, of a part of the dump. */
export class Tally {
  restored = 0;
  kept = 0;
  replaced = 0;
  expired = 0;
  notSelected = 0;
  functionLibraries = 0;
  functionLibrariesPassedOver = 0;
}

/** The figures with those of one more part, whose keys all belong to database `db`. */
export function addTally(figures: PutKeysFigures, tally: Tally, db: number, bytes: number): PutKeysFigures {
  const put = tally.restored + tally.replaced;
  return {
    restored: figures.restored + tally.restored,
    kept: figures.kept + tally.kept,
    replaced: figures.replaced + tally.replaced,
    expired: figures.expired + tally.expired,
    notSelected: figures.notSelected + tally.notSelected,
    functionLibraries: figures.functionLibraries + tally.functionLibraries,
    functionLibrariesPassedOver: figures.functionLibrariesPassedOver + tally.functionLibrariesPassedOver,
    bytes: figures.bytes + bytes,
    byDatabase: put === 0 ? figures.byDatabase : { ...figures.byDatabase, [db]: (figures.byDatabase[db] ?? 0) + put },
  };
}
