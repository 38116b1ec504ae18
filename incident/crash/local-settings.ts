import { join } from 'node:path';

/** What decides which file a server loads at its start. */
export interface LocalSettings {
  /** Absolute folder on the host. */
  readonly dir: string;
  readonly dbfilename: string;
  readonly appendonly: boolean;
  readonly appendfilename: string;
  /** Folder of a multi-part AOF below `dir` (Redis 7.0 and newer); before that the AOF is one file. */
  readonly appenddirname: string;
  readonly appendfsync: 'always' | 'everysec' | 'no';
  /** Absolute; absent where Redis logs to standard output or syslog. */
  readonly logFile?: string;
  /** Whose word it is: a sentence's end, such as `server.json of the backup 20261124T…`. */
  readonly knownFrom: string;
}

/** Redis' own defaults (redis.conf), where a server.json that holds only what was changed leaves them out. */
const defaults = {
  dbfilename: 'dump.rdb',
  appendonly: 'no',
  appendfilename: 'appendonly.aof',
  appenddirname: 'appendonlydir',
  appendfsync: 'everysec',
};

/**
 * The settings from a configuration as CONFIG GET answers or `server.json` holds it; undefined where `dir` is not in it:
 * then it is not known where the files are.
 */
export function localSettings(
  configuration: Readonly<Record<string, string>>,
  knownFrom: string,
): LocalSettings | undefined {
  const value = (name: keyof typeof defaults) => configuration[name] ?? defaults[name];
  const { dir, logfile } = configuration;
  if (!dir) return undefined;
  const appendfsync = value('appendfsync');
  return {
    dir,
    dbfilename: value('dbfilename'),
    appendonly: value('appendonly') === 'yes',
    appendfilename: value('appendfilename'),
    appenddirname: value('appenddirname'),
    appendfsync: appendfsync === 'always' || appendfsync === 'no' ? appendfsync : 'everysec',
    ...(logfile ? { logFile: logfile.startsWith('/') ? logfile : join(dir, logfile) } : {}),
    knownFrom,
  };
}
