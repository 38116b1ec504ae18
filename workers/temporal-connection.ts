import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { NativeConnection } from '@temporalio/worker';
import { RewindError } from '../errors/rewind-error.ts';

/** Where Temporal is; what is absent comes from Temporal's own environment configuration (TEMPORAL_ADDRESS, …). */
export interface TemporalSettings {
  readonly address?: string;
  readonly namespace?: string;
}

interface Patience {
  readonly signal?: AbortSignal;
  /** How long to go on trying, in milliseconds. */
  readonly withinMs?: number;
  readonly onWait?: (reason: string) => void;
}

function connectOptions(settings: TemporalSettings) {
  const fromEnvironment = loadClientConnectConfig();
  return {
    connection: {
      ...fromEnvironment.connectionOptions,
      address: settings.address ?? fromEnvironment.connectionOptions.address ?? 'localhost:7233',
    },
    namespace: settings.namespace ?? fromEnvironment.namespace ?? 'default',
  };
}

/** The address and namespace that are meant, for a person to read. */
export function temporalAddress(settings: TemporalSettings): { address: string; namespace: string } {
  const { connection, namespace } = connectOptions(settings);
  return { address: connection.address, namespace };
}

/** A worker's connection. The SDK gives up at once when the server is down; a worker waits for it instead. */
export async function connectWorker(settings: TemporalSettings, patience: Patience = {}) {
  const { connection, namespace } = connectOptions(settings);
  return {
    connection: await insist(() => NativeConnection.connect(connection), connection.address, patience),
    namespace,
  };
}

export async function connectClient(settings: TemporalSettings, patience: Patience = {}): Promise<Client> {
  const { connection, namespace } = connectOptions(settings);
  return new Client({
    connection: await insist(
      () => Connection.connect({ ...connection, connectTimeout: '5s' }),
      connection.address,
      patience,
    ),
    namespace,
  });
}

/** @throws TEMPORAL_UNREACHABLE */
async function insist<T>(connect: () => Promise<T>, address: string, patience: Patience): Promise<T> {
  const until = Date.now() + (patience.withinMs ?? 0);
  for (let waitMs = 200; ; waitMs = Math.min(waitMs * 2, 5_000)) {
    try {
      return await connect();
    } catch (error) {
      if (Date.now() + waitMs > until) {
        throw new RewindError(
          'TEMPORAL_UNREACHABLE',
          `Temporal at ${address} cannot be reached: ${(error as Error).message}`,
        );
      }
      patience.onWait?.(`Temporal at ${address} is not there yet`);
      await sleep(waitMs, undefined, { signal: patience.signal });
    }
  }
}
