import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../config/load.ts';
import { RewindError } from '../../errors/rewind-error.ts';

/** What a wrong file says, line by line. */
function complaints(text: string): string[] {
  try {
    parseConfig(text, { name: 'rewind.yaml', folder: '/etc/rewind', home: '/var/lib/rewind' });
  } catch (error) {
    expect(error).toBeInstanceOf(RewindError);
    expect((error as RewindError).code).toBe('CONFIG_INVALID');
    return (error as RewindError).message.split('\n');
  }
  return [];
}

const instance = (...lines: string[]) =>
  ['instances:', '  orders:', '    url: redis://10.0.0.5:6379', ...lines.map((line) => `    ${line}`)].join('\n');

const INSTANCE_KEYS =
  'url, password, tls, replicas, sentinel, dataClass, backup, archive, retention, objectives, drill, approval, host, managed, limits';

describe('an unknown key', () => {
  test('is told with line, column, the nearest right key and all that are accepted', () => {
    expect(complaints(instance('bakup: { every: 6h }'))).toEqual([
      `rewind.yaml:4:5: unknown key instances.orders.bakup, did you mean backup?; accepted here: ${INSTANCE_KEYS}`,
    ]);
  });

  test('at the top is told as well', () => {
    expect(complaints('repositry: { url: file:///var/backups }')).toEqual([
      'rewind.yaml:1:1: unknown key repositry, did you mean repository?; accepted here: deployment, temporal, repository, sandbox, timeouts, instances',
    ]);
  });

  test('that stands one block too high is sent to its block', () => {
    expect(complaints(instance('every: 6h'))).toEqual([
      `rewind.yaml:4:5: unknown key instances.orders.every, did you mean backup.every?; accepted here: ${INSTANCE_KEYS}`,
    ]);
  });

  test('that resembles nothing gets no guess', () => {
    expect(complaints(instance('colour: red'))).toEqual([
      `rewind.yaml:4:5: unknown key instances.orders.colour; accepted here: ${INSTANCE_KEYS}`,
    ]);
  });

  test.each(['__proto__', 'constructor', 'toString'])('named %s is unknown like any other', (key) => {
    expect(complaints(instance(`${key}: { url: x }`))).toEqual([
      `rewind.yaml:4:5: unknown key instances.orders.${key}; accepted here: ${INSTANCE_KEYS}`,
    ]);
    expect(complaints(`${key}: 1`)).toHaveLength(1);
  });

  test('shown by its name only, never by its value', () => {
    expect(complaints(instance('passwrd: hunter2')).join()).not.toContain('hunter2');
  });
});

describe('a value of the wrong kind', () => {
  test.each([
    [
      'backup: { every: 6 }',
      '4:22: instances.orders.backup.every: is a number; accepted: a whole number and a unit (ms, s, m, h, d, w), such as 30m or 6h',
    ],
    [
      'backup: { every: 6 hours }',
      '4:22: instances.orders.backup.every: is "6 hours"; accepted: a whole number and a unit (ms, s, m, h, d, w), such as 30m or 6h',
    ],
    ['backup: { every: 59s }', '4:22: instances.orders.backup.every: is 59s; accepted: from 1m to 365d'],
    [
      'backup: { cron: "0 25 * * *" }',
      '4:21: instances.orders.backup.cron: has no hour "25" (0-23, *, lists, ranges and steps such as */2); accepted: five fields of cron in UTC, such as "0 */6 * * *"',
    ],
    [
      'backup: { cron: "@daily" }',
      '4:21: instances.orders.backup.cron: has 1 fields where cron has 5 (minute hour day month weekday); accepted: five fields of cron in UTC, such as "0 */6 * * *"',
    ],
    [
      'backup: { cron: "0 0 31 2 *" }',
      '4:21: instances.orders.backup.cron: names a day that never comes; accepted: five fields of cron in UTC, such as "0 */6 * * *"',
    ],
    [
      'backup: { from: replika }',
      '4:21: instances.orders.backup.from: is "replika", did you mean replica?; accepted: primary | replica',
    ],
    ['backup: { rewriteAof: "yes" }', '4:27: instances.orders.backup.rewriteAof: is text; accepted: true or false'],
    [
      'backup: { flagBelow: 120% }',
      '4:26: instances.orders.backup.flagBelow: is text; accepted: a percentage such as 50%, or a number from 0 to 1',
    ],
    [
      'backup: { flagBelow: 50 }',
      '4:26: instances.orders.backup.flagBelow: is 50; accepted: a percentage such as 50%, or a number from 0 to 1',
    ],
    [
      'dataClass: audit-logs',
      '4:16: instances.orders.dataClass: is "audit-logs", did you mean audit-log?; accepted: cache | session-store | job-queue | rate-limit | audit-log',
    ],
    [
      'host: { local: { minFree: 20 } }',
      '4:31: instances.orders.host.local.minFree: is a number; accepted: a percentage from 0% to 100%, such as 20%',
    ],
    [
      'host: { local: { keep: 1.5 } }',
      '4:28: instances.orders.host.local.keep: is 1.5; accepted: a whole number from 0 to 1000',
    ],
    [
      'host: { service: { systmd: redis } }',
      '4:22: instances.orders.host.service: is a block of keys that names no way to start Redis; accepted: { systemd: UNIT } | { command: { start: […], stop: […] } } | { process: { args: […] } }',
    ],
    [
      'host: { service: { process: { args: [--port, "6379", --requirepass, x] } } }',
      '4:41: instances.orders.host.service.process.args: hold a password, which every process list would show; put it into a redis.conf and name that file first',
    ],
    ['replicas: redis://10.0.0.6', '4:15: instances.orders.replicas: is text; accepted: a list'],
    [
      'retention: { daily: ever }',
      '4:25: instances.orders.retention.daily: is text; accepted: a whole number, or forever',
    ],
    [
      'limits: { uploadBytesPerSecond: fast }',
      '4:37: instances.orders.limits.uploadBytesPerSecond: is text; accepted: bytes a second, such as 50mb',
    ],
    [
      'sentinel: { master: m, addresses: [] }',
      '4:39: instances.orders.sentinel.addresses: is an empty list; accepted: a list of at least 1',
    ],
    [
      'sentinel: { master: m, addresses: [host] }',
      '4:40: instances.orders.sentinel.addresses.0: is no address; accepted: host:port, such as 10.0.0.7:26379',
    ],
  ])('%s', (line, expected) => {
    expect(complaints(instance(line))).toEqual([`rewind.yaml:${expected}`]);
  });

  test('a key without a value is called empty', () => {
    expect(complaints('instances:')).toEqual([
      'rewind.yaml:1:1: instances: is empty; accepted: a block of names of instances',
    ]);
    expect(complaints('instances:\n  orders:')).toEqual([
      `rewind.yaml:2:3: instances.orders: is empty; accepted: a block of ${INSTANCE_KEYS}`,
    ]);
  });

  test('a number where text is wanted is told to take quotes', () => {
    expect(complaints('deployment: 007')).toEqual([
      'rewind.yaml:1:13: deployment: is a number (as text it needs quotes); accepted: a name',
    ]);
    expect(complaints('deployment: ""')).toEqual(['rewind.yaml:1:13: deployment: is empty; accepted: a name']);
  });

  test('a file that is a list, or only text', () => {
    const accepted = 'accepted: a block of deployment, temporal, repository, sandbox, timeouts, instances';
    expect(complaints('- a\n- b')).toEqual([`rewind.yaml:1:1: the file: is a list; ${accepted}`]);
    expect(complaints('hello')).toEqual([`rewind.yaml:1:1: the file: is text; ${accepted}`]);
  });

  test.each(['Orders', 'or ders', 'a/b', '../x', 'a..', '-a', 'é', 'x'.repeat(64), '""'])(
    'a name that is not safe in a path: %s',
    (name) => {
      const [complaint, ...others] = complaints(`instances:\n  ${name}: { url: redis://h }`);
      expect(others).toEqual([]);
      expect(complaint).toBe(
        `rewind.yaml:2:3: instances.${name.replaceAll('"', '')}: is no usable name; accepted: lower-case letters, digits and . _ - inside, at most 63 characters`,
      );
    },
  );
});

describe('an address', () => {
  const REDIS = 'accepted: redis://user@host:6379, rediss://… for TLS, or unix:///path/to/socket';
  const STORE = 'accepted: s3://bucket/prefix or file:///absolute/folder';
  test.each([
    [
      'redis://default:hunter2@h:6379',
      'carries a password (not shown); name it by password: { env: NAME } or { file: PATH } instead',
    ],
    [
      'redis://:hunter2@h',
      'carries a password (not shown); name it by password: { env: NAME } or { file: PATH } instead',
    ],
    ['http://hunter2', 'has another scheme'],
    ['redis://hunter2/3', 'names a database; a backup holds every database, so leave it off'],
    ['redis://hunter2:99999', 'is no address'],
    ['redis://h?password=hunter2', 'has more than a host and a port'],
    ['hunter2', 'is no address'],
    ['unix://hunter2', 'names no socket'],
  ])('of Redis that is wrong is not shown: %s', (url, why) => {
    expect(complaints(`instances:\n  a: { url: "${url}" }`)).toEqual([
      `rewind.yaml:2:13: instances.a.url: ${why}; ${REDIS}`,
    ]);
  });

  test.each([
    'redis://h',
    'redis://default@h:6379',
    'rediss://[fe80::1]:6380/',
    'redis://[::1]',
    'unix:///run/redis.sock',
  ])('of Redis that is right: %s', (url) => expect(complaints(`instances:\n  a: { url: "${url}" }`)).toEqual([]));

  test.each([
    ['file://var/backups', 'is not absolute (three slashes: file:///folder)'],
    ['/var/backups', 'is no address'],
    ['gs://bucket', 'has another scheme'],
    ['s3://AKIA:hunter2@bucket', 'carries a login; credentials come from the AWS SDK’s own chain'],
    ['s3://B', 'names no possible bucket'],
  ])('of a repository that is wrong: %s', (url, why) => {
    expect(complaints(`repository: { url: "${url}" }`)).toEqual([`rewind.yaml:1:20: repository.url: ${why}; ${STORE}`]);
  });

  test('of Temporal without a port', () => {
    expect(complaints('temporal: { address: temporal.internal }')).toEqual([
      'rewind.yaml:1:22: temporal.address: is no address; accepted: host:port, such as temporal.internal:7233',
    ]);
  });
});

describe('keys that contradict each other', () => {
  test.each([
    [
      'backup: { every: 6h, cron: "0 * * * *" }',
      '4:32: instances.orders.backup.cron: stands beside `every`; give one of the two',
    ],
    ['tls: { ca: /ca.pem }', '4:10: instances.orders.tls: is for a url that begins with rediss://'],
    [
      'replicas: [redis://h]\n    sentinel: { master: m, addresses: ["h:1"] }',
      '4:15: instances.orders.replicas: stands beside `sentinel`, which names them; give one of the two',
    ],
  ])('%s', (line, expected) => {
    expect(complaints(instance(line))).toEqual([`rewind.yaml:${expected}`]);
  });

  test('an instance that is nowhere', () => {
    expect(complaints('instances:\n  a: { dataClass: cache }')).toEqual([
      'rewind.yaml:2:3: instances.a.url: is missing; accepted: redis://user@host:6379, rediss://… for TLS, or unix:///path/to/socket',
    ]);
  });

  test('a certificate without its key', () => {
    expect(complaints('instances:\n  a: { url: rediss://h, tls: { cert: /c.pem } }')).toEqual([
      'rewind.yaml:2:38: instances.a.tls.cert: needs key beside it',
    ]);
  });

  test('a folder that is to encrypt, or has a region', () => {
    expect(complaints('repository: { url: file:///b, region: r, encryption: { sse: AES256 } }')).toEqual([
      'rewind.yaml:1:39: repository.region: is for s3:// repositories; this one is a folder',
      'rewind.yaml:1:54: repository.encryption: a folder does not encrypt; leave the key off (or sse: none) and put the folder on an encrypted disk',
    ]);
  });

  test('a key for an encryption that has none', () => {
    expect(complaints('repository: { url: s3://bucket, encryption: { sse: AES256, kmsKeyId: k } }')).toEqual([
      'rewind.yaml:1:70: repository.encryption.kmsKeyId: is for sse: aws:kms only',
    ]);
  });
});

test('all problems of a file are told in one go, in the order of its lines', () => {
  const found = complaints(
    [
      'temporal: { adress: "x:1" }',
      'instances:',
      '  a:',
      '    bakup: {}',
      '    dataClass: cash',
      '  b: { url: 7 }',
    ].join('\n'),
  );
  expect(found.map((line) => line.split(': ').slice(0, 2).join(': '))).toEqual([
    'rewind.yaml:1:13: unknown key temporal.adress, did you mean address?; accepted here',
    'rewind.yaml:3:3: instances.a.url',
    'rewind.yaml:4:5: unknown key instances.a.bakup, did you mean backup?; accepted here',
    'rewind.yaml:5:16: instances.a.dataClass',
    'rewind.yaml:6:13: instances.b.url',
  ]);
});
