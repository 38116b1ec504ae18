import type { StepIO } from '../process/step-io.ts';
import type { RedisTarget } from '../redis/connection.ts';
import { commandService } from './command-service.ts';
import { processService } from './process-service.ts';
import { systemdService } from './systemd-service.ts';

/** `host.service` of the configuration. */
export type ServiceSpec =
  | { readonly systemd: string }
  | { readonly command: { readonly start: readonly string[]; readonly stop: readonly string[] } }
  | { readonly process: { readonly args: readonly string[] } };

export interface ServiceSurroundings {
  /** The agent's state folder. */
  readonly home: string;
  /** The instance's name: a folder in `home` is named after it. */
  readonly instance: string;
  /** How the server is reached once it runs: whether it has loaded is asked there. */
  readonly target: RedisTarget;
  /** The program of the `process` way; the others do not need it. */
  readonly redisServerPath?: string;
  /** Redis' own log, as CONFIG GET logfile answered while it ran; absent where it was never asked. */
  readonly logFile?: string;
  /** Milliseconds without any answer after which a start is given up. Default 60,000. */
  readonly silentMs?: number;
}

/** Whether the server writes a last dump when it ends: `as-configured` where it has save points. */
export type LastSave = 'as-configured' | 'always' | 'never';

/** The Redis that stands beside the agent, by what starts and stops it. */
export interface HostService {
  /** What is asked to do it, for a person: `systemctl start redis-server`. */
  readonly describe: string;
  /**
   * Starts it and waits until it has loaded its data. One that runs already is only waited for.
   *
   * @param how.replicaOf host:port: where the service takes arguments the server follows that primary from its first
   *   moment, and is never one itself with what its files hold; a service that takes none passes it over
   *
   * @throws HOST_COMMAND_FAILED, HOST_SERVER_NOT_LOADED, HOST_SERVER_NOT_OURS, REDIS_REFUSED_LOGIN
   */
  start(io: StepIO, how?: { readonly replicaOf?: string }): Promise<void>;
  /**
   * Stops it and waits until it has ended. One that does not run is left so.
   *
   * @throws HOST_COMMAND_FAILED, HOST_SERVER_NOT_STOPPED, HOST_SERVER_NOT_OURS
   */
  stop(io: Pick<StepIO, 'signal'>, options?: { readonly lastSave?: LastSave }): Promise<void>;
  state(): Promise<ServiceState>;
  /** What is known of how it ended last; undefined where nothing is. */
  lastExit(): Promise<LastExit | undefined>;
}

/** `failed`: it is not running because it ended by itself. */
export type ServiceState = 'running' | 'stopped' | 'failed';

export interface LastExit {
  readonly code?: number;
  /** `SIGKILL`, `SIGSEGV`, … */
  readonly signal?: string;
  /** True where the kernel says that it ended it for want of memory; absent where the kernel cannot be asked. */
  readonly oomKilled?: boolean;
  /** ISO 8601 */
  readonly at?: string;
  /** The end of its log, without what stands in quotes (names of keys). */
  readonly lines: readonly string[];
}

/** The service that a configuration names. */
export function serviceOf(spec: ServiceSpec, around: ServiceSurroundings): HostService {
  if ('systemd' in spec) return systemdService(spec.systemd, around);
  if ('command' in spec) return commandService(spec.command, around);
  return processService(spec.process, around);
}
