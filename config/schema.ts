import * as z from 'zod';
import { hostPort, httpUrl, repositoryUrl } from './addresses.ts';
import { block, list } from './blocks.ts';
import { instanceSchema, tlsFiles } from './instance-schema.ts';
import { choice, duration, flag, kindOf, secret, size, text } from './leaves.ts';

/** What is safe in a path, a task queue's name, a workflow id and an object's name. */
export const INSTANCE_NAME = /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/;
const INSTANCE_NAMES = 'lower-case letters, digits and . _ - inside, at most 63 characters';

const pemFile = () => block({ path: text('the path of a PEM file').describe('Path of a PEM file.') });

const temporal = block({
  address: hostPort('temporal.internal:7233')
    .optional()
    .describe('Frontend of the Temporal server. Default: TEMPORAL_ADDRESS or the Temporal profile in use.'),
  namespace: text('the name of a namespace')
    .optional()
    .describe('Namespace; one deployment per namespace. Default: TEMPORAL_NAMESPACE, the profile’s, or `default`.'),
  apiKey: secret().optional().describe('API key, as of Temporal Cloud. Default: TEMPORAL_API_KEY.'),
  tls: block({
    disabled: flag().optional().describe('No TLS, even where an API key is given.'),
    serverName: text('a host name').optional().describe('Name that the server’s certificate must have.'),
    serverCACert: pemFile().optional().describe('Authorities that are trusted instead of the system’s.'),
    clientCert: pemFile().optional().describe('Client certificate.'),
    clientKey: pemFile().optional().describe('Key of the client certificate.'),
  })
    .optional()
    .describe('TLS as in Temporal’s own environment configuration; an empty block switches it on.'),
});

const repository = block({
  url: repositoryUrl()
    .optional()
    .describe(
      's3://bucket/prefix or file:///absolute/folder. Default: `repository` in the state folder (REWIND_HOME, else .rewind).',
    ),
  region: text('the name of a region').optional().describe('Region of the bucket. Default: the AWS SDK’s own chain.'),
  endpoint: httpUrl().optional().describe('Address of an S3-compatible server. Default: AWS.'),
  pathStyle: flag()
    .prefault(false)
    .describe('Name the bucket in the path instead of the host, where the server needs it.'),
  encryption: block({
    sse: choice(['aws:kms', 'AES256', 'none']).describe(
      'Server-side encryption that every upload asks for, and checks.',
    ),
    kmsKeyId: text('the id, ARN or alias of a key').optional().describe('Key for aws:kms. Default: the store’s own.'),
  })
    .optional()
    .describe('Encryption at rest. Default: aws:kms on s3, none on file. No encryption on s3 must be written out.'),
  tls: tlsFiles().optional().describe('Certificates for the endpoint.'),
});

const timeouts = block({
  roleSilence: duration('1s', '1d')
    .prefault('5m')
    .describe('How long a step waits for a worker of its role before the role counts as gone.'),
  heartbeat: duration('1s', '10m')
    .prefault('20s')
    .describe('Silence after which a worker that took a step counts as dead.'),
  step: duration('1m', '30d').prefault('24h').describe('Longest time for one attempt of a step.'),
  retry: duration('100ms', '10m').prefault('1s').describe('Wait before a step is tried again; it doubles up to 30 s.'),
});

/** Everything that may stand in rewind.yaml: types, JSON Schema and documentation come from here. */
export const configSchema = block({
  deployment: text('a name')
    .regex(INSTANCE_NAME, { error: () => `is no usable name; accepted: ${INSTANCE_NAMES}` })
    .optional()
    .describe('Name under which this deployment owns its schedules. Default: made from the repository’s url.'),
  temporal: temporal.optional().describe('Temporal server. Without it: a dev server that `rewind up` starts.'),
  repository: repository.prefault({}).describe('Where backups are kept.'),
  sandbox: block({
    servers: list(text('the path of a program'), 1)
      .optional()
      .describe('Programs that dumps are loaded with, to prove them. Default: what the bootstrap found.'),
    maxMemory: size().optional().describe('Most memory that such a server may take. Default: half of the machine’s.'),
  })
    .prefault({})
    .describe('Where dumps are loaded to prove them.'),
  timeouts: timeouts.prefault({}).describe('How long steps wait for workers. The defaults suit dumps of any size.'),
  instances: z
    .record(
      z.string().regex(INSTANCE_NAME, { error: () => `is no usable name; accepted: ${INSTANCE_NAMES}` }),
      instanceSchema,
      {
        error: ({ code, input }) =>
          code === 'invalid_type' ? `is ${kindOf(input)}; accepted: a block of names of instances` : undefined,
      },
    )
    .prefault({})
    .describe('Redis servers that are backed up, by name.'),
});

export type ConfigFile = z.output<typeof configSchema>;
export type ConfigInput = z.input<typeof configSchema>;
