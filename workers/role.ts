import { hostname } from 'node:os';
import type { NativeConnection, WorkerOptions } from '@temporalio/worker';
import type { LoadedConfig } from '../config/load.ts';

/** What a process of this product is started as. */
export type Role = 'orchestrator' | 'host' | 'sandbox';

/** What every role's worker is made of. */
export interface RoleSettings {
  readonly config: LoadedConfig;
  readonly env: NodeJS.ProcessEnv;
  /** This role's own folder; no other role reads it. */
  readonly home: string;
  readonly connection: NativeConnection;
  readonly namespace: string;
}

/** What all workers share. A worker that is told to end gives running steps a moment to write their cursor. */
export function workerBasics(
  settings: RoleSettings,
  role: string,
): Pick<WorkerOptions, 'connection' | 'namespace' | 'identity' | 'shutdownGraceTime' | 'shutdownForceTime'> {
  return {
    connection: settings.connection,
    namespace: settings.namespace,
    identity: `rewind ${role} ${hostname()}:${process.pid}`,
    shutdownGraceTime: '2s',
    shutdownForceTime: '10s',
  };
}
