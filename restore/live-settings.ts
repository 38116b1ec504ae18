import type { Redis } from 'ioredis';

/** Parameters of a running server by name, as CONFIG GET answers them. */
export type Settings = Readonly<Record<string, string>>;

/** What these parameters are now; one that this server does not have is left out. */
export async function readSettings(redis: Redis, names: readonly string[]): Promise<Settings> {
  const settings: Record<string, string> = {};
  for (const name of names) {
    const [, value] = (await redis.config('GET', name)) as string[];
    if (value !== undefined) settings[name] = value;
  }
  return settings;
}

/** Sets each, and nothing that is so already. An empty value takes the parameter away. */
export async function putSettings(redis: Redis, settings: Settings): Promise<void> {
  const now = await readSettings(redis, Object.keys(settings));
  for (const [name, value] of Object.entries(settings)) {
    if (now[name] !== value) await redis.config('SET', name, value);
  }
}
