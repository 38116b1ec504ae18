/** What of a server's configuration says which files it loads at a start, and how it takes damage. */
export interface PersistenceSettings {
  /** Default `dump.rdb`. */
  readonly dbfilename: string;
  readonly appendonly: boolean;
  /** Default `appendonly.aof`. */
  readonly appendfilename: string;
  /** Default `appendonlydir`; servers before 7.0 have none. */
  readonly appenddirname: string;
  /** `7.0.15`; where it is not known, the files decide whether it is one of before 7.0. */
  readonly serverVersion?: string;
  readonly serverName?: 'redis' | 'valkey';
  /** `aof-load-truncated`, default true: the server cuts off the end of the last file that it cannot read. */
  readonly aofLoadTruncated?: boolean;
  /** `rdbchecksum`, default true: with false the server does not look at the checksum. */
  readonly rdbChecksum?: boolean;
}
