import { expect } from 'vitest';
import { connectTo } from './dataset.ts';
import type { Flavour, RedisServer } from './servers.ts';

/** Before 7.0 DEBUG is always allowed, and the setting not known. */
export function debugAllowed(flavour: Flavour = 'redis-7.0'): Record<string, string> {
  return flavour === 'redis-6.2' ? {} : { 'enable-debug-command': 'local' };
}

/** All that a server holds, as one digest of its own: keys, values, expiries. A server that is empty has none. */
export async function dataDigest(server: RedisServer): Promise<string> {
  const redis = await connectTo(server);
  try {
    const digest = String(await redis.call('DEBUG', 'DIGEST'));
    expect(digest).toMatch(/^[0-9a-f]{40}$/);
    expect(digest).not.toMatch(/^0+$/);
    return digest;
  } finally {
    redis.disconnect();
  }
}
