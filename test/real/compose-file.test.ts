import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../config/load.ts';
import { findOnPath } from '../../process/program-path.ts';
import { type ComposeService, inCheckout, readCompose, readImage, readText } from './compose-file.ts';

const compose = readCompose();
const services = Object.entries(compose.services);
const roles = ['orchestrator', 'host-agent', 'sandbox'] as const;

/** The compose specification's own implementation: its schema, and whether what is named is there. */
const reference = 'github.com/compose-spec/compose-go/v2/cmd@v2.16.2';

describe('docker-compose.yml', () => {
  test('a key that the compose specification does not know is refused by its reference implementation', {
    timeout: 300_000,
  }, async (context) => {
    const go = findOnPath('go', process.env.PATH);
    if (go === undefined) return context.skip('no Go on PATH to run it with');
    const check = (...args: string[]) => promisify(execFile)(go, ['run', reference, ...args], { cwd: inCheckout('.') });
    const { stdout } = await check('--format', 'json', 'docker-compose.yml').catch((error: Error) => {
      if (/dial tcp|no such host|i\/o timeout|proxyconnect/.test(error.message))
        context.skip('it cannot be fetched here');
      throw error;
    });
    const model = JSON.parse(stdout) as { services: Record<string, { command: string[] }> };
    expect(Object.keys(model.services).sort()).toEqual(Object.keys(compose.services).sort());
    // What these tests read of the file is what Compose reads.
    for (const [name, { command }] of services) expect(model.services[name]?.command ?? undefined).toEqual(command);
  });

  test('what a service names is there: the specification only says how it is written', () => {
    const named = (of: (service: ComposeService) => readonly string[]) => [
      ...new Set(services.flatMap(([, service]) => of(service))),
    ];
    const volumes = named(({ volumes = [] }) => volumes.map((volume) => volume.split(':')[0] as string));
    expect(volumes.sort()).toEqual(Object.keys(compose.volumes).sort());
    expect(named(({ networks = [] }) => networks).sort()).toEqual(Object.keys(compose.networks).sort());
    expect(named(({ secrets = [] }) => secrets).sort()).toEqual(Object.keys(compose.secrets).sort());
    expect(named(({ configs = [] }) => configs.map(({ source }) => source)).sort()).toEqual(
      Object.keys(compose.configs).sort(),
    );
    const needed = named(({ depends_on = {} }) => Object.keys(depends_on));
    expect(Object.keys(compose.services)).toEqual(expect.arrayContaining(needed));
    for (const { file } of Object.values(compose.configs)) expect(readText(file)).not.toBe('');
  });

  test('an image without a version would be another one tomorrow', () => {
    for (const [name, { image }] of services) expect(image, name).toMatch(/:\d+\.\d+(\.\d+)?(-[a-z]+)?$/);
    const { version } = JSON.parse(readText('package.json')) as { version: string };
    for (const role of roles) expect(compose.services[role]?.image).toBe(`redis-rewind:${version}`);
  });

  test('a secret in the file would be in git: every one is a file that the service was granted', () => {
    for (const [name, service] of services) {
      for (const [key, value] of Object.entries(service.environment ?? {})) {
        if (/PASSWORD|PWD|SECRET|TOKEN|ACCESS_KEY|CREDENTIALS/.test(key)) {
          expect(value, `${name}: ${key}`).toMatch(/^\/run\/secrets\/\w+$/);
        }
      }
      const named = new Set(JSON.stringify(service).match(/(?<=\/run\/secrets\/)\w+/g));
      for (const { source } of service.configs ?? []) {
        const file = compose.configs[source]?.file as string;
        // The roles share one configuration; a password that it names is for those that use it.
        if (source !== 'rewind.yaml') for (const secret of mentioned(file)) named.add(secret);
      }
      expect(service.secrets ?? [], name).toEqual(expect.arrayContaining([...named]));
    }
    for (const { file } of Object.values(compose.secrets)) expect(file).toMatch(/^\.\/deploy\/secrets\//);
    expect(readText('deploy/.gitignore').split('\n')).toContain('secrets/');
    expect(readText('.dockerignore').split('\n')).toContain('deploy/secrets');
  });

  test('the sandbox has no way to the production Redis and does not hold its password', () => {
    const { networks, secrets } = compose.services.sandbox as ComposeService;
    expect(secrets).toEqual(['s3_credentials']);
    const redis = compose.services.redis?.networks ?? [];
    expect(networks?.filter((network) => redis.includes(network))).toEqual([]);
  });

  test('the agent sees the dump at the path that Redis names, as the user that owns it', () => {
    const { volumes: ofRedis, user } = compose.services.redis as ComposeService;
    const agent = compose.services['host-agent'] as ComposeService;
    const [data] = ofRedis as [string];
    expect(agent.volumes).toContain(data);
    expect(readText('deploy/redis.conf')).toMatch(new RegExp(`^dir ${data.split(':')[1]}$`, 'm'));
    expect(agent.user).toBe(user);
    expect(readImage().user).toBe(user);
  });

  test('nothing listens beyond this machine', () => {
    for (const [name, { ports }] of services)
      for (const port of ports ?? []) expect(port, name).toMatch(/^127\.0\.0\.1:/);
  });

  test('a service that hangs is noticed, and what ends is waited for to its end', () => {
    for (const [name, service] of services) {
      if (service.restart === 'no') {
        const conditions = services.flatMap(([, { depends_on }]) => depends_on?.[name]?.condition ?? []);
        expect(conditions, name).toContain('service_completed_successfully');
        expect(new Set(conditions).size, name).toBe(1);
      } else expect(service.healthcheck?.test, name).toBeDefined();
    }
  });

  test('every role reads a configuration that is valid', async () => {
    const config = await loadConfig({ path: inCheckout('deploy/rewind.yaml'), env: {}, cwd: inCheckout('deploy') });
    expect(config.repository.encryption).toEqual({ sse: 'AES256' });
    expect(compose.services['host-agent']?.command?.at(-1)).toBe(Object.keys(config.instances).join());
    expect(config.notInForce).toEqual([]);
  });
});

describe('deploy/systemd', () => {
  test.each([
    ['rewind-orchestrator.service', 'orchestrator'],
    ['rewind-host@.service', 'host-agent'],
    ['rewind-sandbox.service', 'sandbox'],
  ] as const)('%s starts its role by the command that the compose file starts it by', (unit, service) => {
    const started = /^ExecStart=\/usr\/local\/bin\/rewind (.+)$/m.exec(readText(`deploy/systemd/${unit}`))?.[1];
    expect(started?.replace('%i', 'main').split(' ')).toEqual(compose.services[service]?.command);
  });
});

function mentioned(file: string): string[] {
  return readText(file).match(/(?<=\/run\/secrets\/)\w+/g) ?? [];
}
