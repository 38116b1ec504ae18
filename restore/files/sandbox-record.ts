/** What a keeper is told, in its folder; the password lies beside in a file of its own. */
export interface KeeperOrder {
  readonly id: string;
  /** Absolute, of this sandbox alone: it is removed at the end. */
  readonly folder: string;
  readonly port: number;
  /** ISO 8601. */
  readonly endsAt: string;
  readonly command: string;
  readonly databases: number;
  /** Further lines of its configuration, which win. */
  readonly config?: readonly string[];
  readonly server: { readonly name: string; readonly version: string };
}

/** What a keeper writes down once its server runs: enough for any process to end both, and no other. */
export interface SandboxRecord {
  readonly id: string;
  readonly port: number;
  readonly endsAt: string;
  readonly server: { readonly name: string; readonly version: string };
  readonly keeperPid: number;
  readonly keeperIdentity: string | undefined;
  readonly serverPid: number;
  readonly serverIdentity: string | undefined;
}
