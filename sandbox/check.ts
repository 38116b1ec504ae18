/** What one exact check found. Figures are counts, sizes, digests and versions; never a key's name or value. */
export interface Check {
  readonly name: CheckName;
  /** `not-possible`: nothing contradicts the backup, but this could not be shown. */
  readonly result: 'ok' | 'contradicted' | 'not-possible';
  /** One sentence for a person. */
  readonly detail: string;
  readonly figures?: Readonly<Record<string, string | number>>;
}

export type CheckName =
  | 'ctime'
  | 'crc64'
  | 'resizedb'
  | 'values'
  | 'stored'
  | 'sha256'
  | 'redis-check-rdb'
  | 'load'
  | 'loaded-keys'
  | 'functions'
  | 'sample';
