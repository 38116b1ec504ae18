import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { Connection } from '@temporalio/client';
import proto from '@temporalio/proto';
import { RewindError } from '../errors/rewind-error.ts';
import { searchAttributes } from '../workflows/search-attributes.ts';
import type { Patience } from './temporal-connection.ts';

/**
 * Registers what runs are found by, where it is missing. A workflow that sets an unregistered attribute hangs, so no
 * worker polls before this has succeeded.
 *
 * @throws TEMPORAL_NO_SEARCH_ATTRIBUTES
 */
export async function registerSearchAttributes(client: Client, patience: Patience = {}): Promise<void> {
  const until = Date.now() + (patience.withinMs ?? 0);
  for (;;) {
    try {
      return await register(client);
    } catch (error) {
      // A namespace that is being made is known to the server's parts one after the other.
      const notThere = (error as { code?: number }).code === grpcNotFound;
      if (!notThere || Date.now() > until) throw error;
      patience.onWait?.(`the namespace ${client.options.namespace} is not there yet`);
      await sleep(1_000, undefined, { signal: patience.signal });
    }
  }
}

/** @see https://grpc.io/docs/guides/status-codes/ */
const grpcNotFound = 5;

async function register(client: Client): Promise<void> {
  if (!(client.connection instanceof Connection)) throw new TypeError('a client of its own connection is needed');
  const { operatorService } = client.connection;
  const namespace = client.options.namespace;
  const names = Object.values(searchAttributes).map(({ name }) => name);
  const missing = async () => {
    const { customAttributes } = await operatorService.listSearchAttributes({ namespace });
    return names.filter((name) => customAttributes?.[name] === undefined);
  };
  const absent = await missing();
  if (absent.length === 0) return;
  const keyword = proto.temporal.api.enums.v1.IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD;
  try {
    await operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(absent.map((name) => [name, keyword])),
    });
  } catch (error) {
    // Several workers start at once: whoever was second finds them there.
    if ((await missing()).length > 0) {
      throw new RewindError('TEMPORAL_NO_SEARCH_ATTRIBUTES', `${absent.join(', ')}: ${(error as Error).message}`);
    }
  }
}
