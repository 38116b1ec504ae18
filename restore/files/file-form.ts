/** Names and switches by which a server finds its data when it starts; defaults as an unconfigured server has them. */
export interface StartFiles {
  /** Absolute. */
  readonly dir: string;
  readonly dbfilename: string;
  readonly appendonly: boolean;
  readonly appendfilename: string;
  readonly appenddirname: string;
}

export const defaultNames = {
  dbfilename: 'dump.rdb',
  appendfilename: 'appendonly.aof',
  appenddirname: 'appendonlydir',
} as const;

/** Redis 7.0 (and every Valkey) keeps its append-only file as a folder with a manifest. */
export function isMultiPart(server: { readonly name: string; readonly version: string }): boolean {
  return server.name === 'valkey' || Number.parseInt(server.version, 10) >= 7;
}

/** The base that an append-only file of several parts begins with, and the manifest that names it. */
export function firstBase(appendfilename: string): { base: string; manifest: string; manifestText: string } {
  const base = `${appendfilename}.1.base.rdb`;
  return {
    base,
    manifest: `${appendfilename}.manifest`,
    // The name is quoted where it has a space, as aof.c writes it.
    manifestText: `file ${/\s/.test(base) ? JSON.stringify(base) : base} seq 1 type b\n`,
  };
}
