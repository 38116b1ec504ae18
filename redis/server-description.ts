import type { Redis } from 'ioredis';
import { readAclList } from './acl-list.ts';
import { type ConfigDefaults, configurationOf, describeConfiguration } from './config-diff.ts';
import { readInfo, serverVersion } from './info.ts';

/** The content of `server.json`: what a server needs beside its keys to be the same server again. */
export interface ServerDescription {
  readonly formatVersion: 1;
  readonly server: { readonly name: 'redis' | 'valkey'; readonly version: string };
  readonly modules: readonly { readonly name: string; readonly version: number }[];
  /** Libraries of functions; their code is in the dump. Absent before Redis 7.0. */
  readonly functions?: readonly FunctionLibrary[];
  /** ACL LIST, with password hashes. Absent where it was not asked for or may not be read. */
  readonly acl?: readonly string[];
  /** Whether `configuration` holds only what was changed, or all because the defaults are not known. */
  readonly configurationIs: 'changed-from-default' | 'all';
  readonly configuration: Readonly<Record<string, string>>;
  /** What is set on the server and is not in here because it is or may be secret. */
  readonly withheld: readonly string[];
  /** What this user may not read, with what the server said. */
  readonly unreadable: readonly { readonly what: string; readonly reason: string }[];
}

export interface FunctionLibrary {
  readonly name: string;
  readonly engine: string;
  readonly functions: readonly string[];
}

/**
 * Describes a server without its keys. Never holds a secret: passwords and the like, and the arguments of modules, are
 * named under `withheld`. A part that this user may not read is named under `unreadable`, and is no error.
 *
 * @param options.includeAcl whether users and their password hashes are part of it
 * @param options.defaults measured on an unconfigured server of the same version; used only where the version is equal
 */
export async function describeServer(
  redis: Redis,
  options: { includeAcl: boolean; defaults?: ConfigDefaults },
): Promise<ServerDescription> {
  const server = serverVersion(await readInfo(redis, 'server'));
  const unreadable: { what: string; reason: string }[] = [];
  const read = async <T>(what: string, ask: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await ask();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // Only a refusal may pass: a lost connection must not make a description look complete.
      if (!/^(NOPERM|ERR unknown (sub)?command)/i.test(reason)) throw error;
      unreadable.push({ what, reason });
      return undefined;
    }
  };
  const modules = (await read('modules', () => readModules(redis))) ?? [];
  const functions = hasFunctions(server) ? await read('functions', () => readFunctions(redis)) : undefined;
  const acl = options.includeAcl ? await read('acl', () => readAclList(redis)) : undefined;
  const live = await read('configuration', async () => configurationOf((await redis.config('GET', '*')) as string[]));
  const described = describeConfiguration(live ?? {}, server, options.defaults);
  return {
    formatVersion: 1,
    server,
    modules: modules.map(({ name, version }) => ({ name, version })),
    ...(functions ? { functions } : {}),
    ...(acl ? { acl } : {}),
    configurationIs: described.configurationIs,
    configuration: described.configuration,
    withheld: [
      ...described.withheld,
      ...modules.filter((module) => module.hasArguments).map(({ name }) => `arguments of module ${name}`),
      ...(options.includeAcl ? [] : ['acl']),
    ],
    unreadable,
  };
}

/**
 * Measures the defaults of a server that was started for this and configured with nothing but `setAtStart`.
 */
export async function measureDefaults(redis: Redis, setAtStart: readonly string[]): Promise<ConfigDefaults> {
  return {
    server: serverVersion(await readInfo(redis, 'server')),
    values: configurationOf((await redis.config('GET', '*')) as string[]),
    setAtStart,
  };
}

function hasFunctions({ version }: { version: string }): boolean {
  return Number.parseInt(version, 10) >= 7;
}

async function readModules(redis: Redis): Promise<{ name: string; version: number; hasArguments: boolean }[]> {
  const reply = (await redis.call('MODULE', 'LIST')) as unknown[][];
  return reply.map(fieldsOf).map((fields) => ({
    name: String(fields.get('name')),
    version: Number(fields.get('ver')),
    hasArguments: ((fields.get('args') as unknown[] | undefined) ?? []).length > 0,
  }));
}

async function readFunctions(redis: Redis): Promise<FunctionLibrary[]> {
  const reply = (await redis.call('FUNCTION', 'LIST')) as unknown[][];
  const libraries = reply.map(fieldsOf).map((fields) => ({
    name: String(fields.get('library_name')),
    engine: String(fields.get('engine')),
    functions: (fields.get('functions') as unknown[][]).map((each) => String(fieldsOf(each).get('name'))).sort(),
  }));
  return libraries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function fieldsOf(flat: readonly unknown[]): Map<string, unknown> {
  const fields = new Map<string, unknown>();
  for (let at = 0; at + 1 < flat.length; at += 2) fields.set(String(flat[at]), flat[at + 1]);
  return fields;
}
