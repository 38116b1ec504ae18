import { readFile } from 'node:fs/promises';
import type { InstanceContext } from '../backup/instance-context.ts';
import type { TlsFiles } from '../config/config.ts';
import type { LoadedConfig } from '../config/load.ts';
import { resolveSecret } from '../config/secrets.ts';
import { RewindError } from '../errors/rewind-error.ts';
import { policyOf } from '../policy/instance-policy.ts';
import type { RedisTarget } from '../redis/connection.ts';
import { atPrimary, findPrimary, type SentinelGroup } from '../redis/sentinel.ts';
import { openOnce } from '../repository/open.ts';

/** Where an instance is asked for, and by which policy the asker was planned; without one, none is compared. */
export interface InstanceRequest {
  readonly instance: string;
  readonly policyDigest?: string;
}

/**
 * Makes what a step has in its hands from this role's own configuration, and refuses to act on another policy than the
 * one that the workflow was planned with.
 *
 * @param options.login false for steps that never talk to Redis: their role need not hold its password
 * @param options.atUrl the server that the configuration names, whoever is the primary now: Sentinels are not asked
 */
export function openInstance(
  role: { config: LoadedConfig; env: NodeJS.ProcessEnv; home: string },
  { login = true, atUrl = false }: { login?: boolean; atUrl?: boolean } = {},
) {
  const repository = openOnce(role.config.repository);
  return async ({ instance, policyDigest }: InstanceRequest): Promise<InstanceContext> => {
    const policy = policyOf(role.config, instance);
    if (policyDigest !== undefined && policy.digest !== policyDigest) {
      throw new RewindError(
        'POLICY_MISMATCH',
        `The workflow was planned with the policy ${policyDigest} of ${instance}; this worker holds ${policy.digest}.`,
      );
    }
    return {
      policy,
      target: login ? await redisTarget(role.config, instance, role.env, atUrl) : { url: urlOf(role.config, instance) },
      repository: await repository(),
      home: role.home,
      host: role.config.instances[instance]?.host,
      sentinel: sentinelOf(role.config, instance, role.env),
    };
  };
}

function urlOf(config: LoadedConfig, instance: string): string {
  const url = config.instances[instance]?.url;
  if (!url) throw new RewindError('CONFIG_INVALID', `instances.${instance} has no url.`);
  return url;
}

/**
 * Where the instance is now: Sentinels, where there are any, name the primary. Secrets are read when they are used, so
 * that a rotated one needs no restart.
 */
export async function redisTarget(
  config: LoadedConfig,
  instance: string,
  env: NodeJS.ProcessEnv,
  atUrl = false,
): Promise<RedisTarget> {
  const url = urlOf(config, instance);
  const { password, tls, backup } = config.instances[instance] ?? {};
  const target = { url, password: password && (await resolveSecret(password, env)), tls: await readPem(tls) };
  const sentinel = sentinelOf(config, instance, env);
  if (!sentinel || atUrl || backup?.from === 'replica') return target;
  return atPrimary(target, await findPrimary(await sentinel()));
}

function sentinelOf(
  config: LoadedConfig,
  instance: string,
  env: NodeJS.ProcessEnv,
): (() => Promise<SentinelGroup>) | undefined {
  const { sentinel, tls } = config.instances[instance] ?? {};
  if (!sentinel) return undefined;
  const { master, addresses, password } = sentinel;
  return async () => ({
    master,
    addresses,
    password: password && (await resolveSecret(password, env)),
    tls: await readPem(tls),
  });
}

async function readPem(files: TlsFiles | undefined): Promise<RedisTarget['tls']> {
  if (!files) return undefined;
  const read = (path: string | undefined) => (path === undefined ? undefined : readFile(path, 'utf8'));
  const [ca, cert, key] = await Promise.all([read(files.ca), read(files.cert), read(files.key)]);
  return { ca, cert, key };
}
