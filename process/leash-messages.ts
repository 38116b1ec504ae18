/** What the parent tells the leash, over the IPC channel between them. */
export type ToLeash =
  | { readonly type: 'start'; readonly program: LeashedProgram }
  | { readonly type: 'stop'; readonly keepFolders: boolean };

/** What the leash tells the parent. */
export type FromLeash =
  | { readonly type: 'started'; readonly pid: number; readonly identity: string | undefined }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'ended'; readonly code: number | null; readonly signal: NodeJS.Signals | null };

/** A program as the leash starts it. */
export interface LeashedProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** Base64, fed once to standard input, which is then closed. */
  readonly stdin?: string;
  /** Standard output and error are appended here; without it they are dropped. */
  readonly logFile?: string;
  /** Absolute folders, removed when the program is stopped, or the parent is gone. */
  readonly cleanup: readonly string[];
  /** Milliseconds between SIGTERM and SIGKILL. */
  readonly graceMs: number;
}
