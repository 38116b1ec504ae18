import { setTimeout as sleep } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { type ClientConfigProfile, loadClientConfigProfile, toClientOptions } from '@temporalio/envconfig';
import { NativeConnection } from '@temporalio/worker';
import type { TemporalConfig } from '../config/config.ts';
import { resolveSecret } from '../config/secrets.ts';
import { RewindError } from '../errors/rewind-error.ts';

/** Where Temporal is; what is absent comes from Temporal's own environment configuration (TEMPORAL_ADDRESS, …). */
export interface TemporalSettings extends TemporalConfig {
  /** A dev server of our own: keys and certificates in this person's environment are not meant for it. */
  readonly embedded?: boolean;
}

export interface Patience {
  readonly signal?: AbortSignal;
  /** How long to go on trying, in milliseconds. */
  readonly withinMs?: number;
  readonly onWait?: (reason: string) => void;
}

/** Of one attempt, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;

/** The address and namespace that are meant, for a person to read. */
export function temporalAddress(settings: TemporalSettings): { address: string; namespace: string } {
  const { address, namespace } = profileOf(settings);
  return { address: address ?? 'localhost:7233', namespace: namespace ?? 'default' };
}

/** A worker's connection. The SDK gives up at once when the server is down; a worker waits for it instead. */
export async function connectWorker(settings: TemporalSettings, patience: Patience = {}) {
  const { connection, namespace } = await connectOptions(settings);
  return {
    connection: await insist(() => NativeConnection.connect(connection), connection.address, patience),
    namespace,
  };
}

/** @throws TEMPORAL_UNREACHABLE, SECRET_MISSING */
export async function connectClient(settings: TemporalSettings, patience: Patience = {}): Promise<Client> {
  const { connection, namespace } = await connectOptions(settings);
  const connect = () => Connection.connect({ ...connection, connectTimeout: CONNECT_TIMEOUT_MS });
  return new Client({ connection: await insist(connect, connection.address, patience), namespace });
}

function profileOf({ address, namespace, embedded }: TemporalSettings): ClientConfigProfile {
  const fromEnvironment = embedded ? {} : loadClientConfigProfile();
  return {
    ...fromEnvironment,
    address: address ?? fromEnvironment.address,
    namespace: namespace ?? fromEnvironment.namespace,
  };
}

/** Keys and certificates are read when they are used, so that rotated ones need no restart of a command. */
async function connectOptions(settings: TemporalSettings) {
  const profile = profileOf(settings);
  const apiKey = settings.apiKey ? await resolveSecret(settings.apiKey, process.env) : profile.apiKey;
  const { connectionOptions } = withFiles(() =>
    toClientOptions({ ...profile, apiKey, tls: settings.tls ?? profile.tls }),
  );
  const { address, namespace } = temporalAddress(settings);
  return { connection: { ...connectionOptions, address }, namespace };
}

/** @throws SECRET_MISSING for a certificate's file that cannot be read */
function withFiles<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    const { path, code } = error as NodeJS.ErrnoException;
    if (path === undefined) throw error;
    throw new RewindError('SECRET_MISSING', `temporal.tls: the file ${path} cannot be read (${code})`);
  }
}

/** @throws TEMPORAL_UNREACHABLE */
async function insist<T>(connect: () => Promise<T>, address: string, patience: Patience): Promise<T> {
  const until = Date.now() + (patience.withinMs ?? 0);
  for (let waitMs = 200; ; waitMs = Math.min(waitMs * 2, 5_000)) {
    try {
      return await connect();
    } catch (error) {
      if (Date.now() + waitMs > until) {
        const { message } = error as Error;
        throw new RewindError('TEMPORAL_UNREACHABLE', `Temporal at ${address} cannot be reached: ${message}`);
      }
      patience.onWait?.(`Temporal at ${address} is not there yet`);
      await sleep(waitMs, undefined, { signal: patience.signal });
    }
  }
}
