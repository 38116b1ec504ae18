import * as z from 'zod';
import { hostPort, redisUrl } from './addresses.ts';
import { block, list } from './blocks.ts';
import { argument, choice, count, cron, duration, flag, kindOf, percent, secret, size, text } from './leaves.ts';

export const DATA_CLASSES = ['cache', 'session-store', 'job-queue', 'rate-limit', 'audit-log'] as const;
const KEY_TYPES = ['string', 'list', 'set', 'zset', 'hash', 'stream'] as const;

/** PEM files for a connection. */
export const tlsFiles = () =>
  block({
    ca: text('the path of a PEM file')
      .optional()
      .describe('PEM file of the authorities that are trusted instead of the system’s.'),
    cert: text('the path of a PEM file').optional().describe('PEM file of the client certificate.'),
    key: text('the path of a PEM file').optional().describe('PEM file of the client certificate’s key.'),
  });

const sentinel = block({
  master: text('the name under which Sentinel watches the primary').describe(
    'Name under which Sentinel watches the primary.',
  ),
  addresses: list(hostPort('10.0.0.7:26379'), 1).describe('Sentinels, each host:port.'),
  password: secret().optional().describe('Password of the Sentinels.'),
});

const backup = block({
  every: duration('1m', '365d')
    .optional()
    .describe('Time between two backups, counted in UTC from midnight. Default: by data class.'),
  cron: cron().optional().describe('Five fields of cron, in UTC, instead of `every`.'),
  from: choice(['primary', 'replica'])
    .prefault('primary')
    .describe('Role that the server at `url` must have for a backup.'),
  rewriteAof: flag()
    .prefault(false)
    .describe('Ask for a rewrite of the append-only file after the save, never during it.'),
  flagBelow: flagBelow()
    .prefault('50%')
    .describe(
      'A backup with fewer keys than this share of the last verified one is flagged: it may be the disaster itself.',
    ),
  acl: flag()
    .prefault(true)
    .describe('Keep the ACL (password hashes as Redis keeps them) in server.json. Without it a restore is not whole.'),
});

const retention = block({
  hourly: kept(24).describe('Backups kept of those that are no other tier’s.'),
  daily: kept(30).describe('First backups of a day that are kept.'),
  weekly: kept(52).describe('First backups of an ISO week that are kept.'),
  monthly: kept('forever').describe('First backups of a month that are kept.'),
});

const drill = block({
  every: duration('1h', '365d').prefault('30d').describe('Time between two restore drills.'),
  samples: count(1, 10_000).prefault(20).describe('Keys compared by content.'),
  known: list(
    block({
      key: text('the name of a key').describe('Key that must exist in every backup.'),
      type: choice(KEY_TYPES).optional().describe('Type that it must have.'),
    }),
  )
    .prefault([])
    .describe('Keys that a drill looks for.'),
});

const host = block({
  service: z
    .union(
      [
        block({ systemd: text('the name of a unit').describe('Name of the systemd unit.') }),
        block({
          command: block({
            start: list(text('a word of the command'), 1).describe('Command and arguments that start Redis.'),
            stop: list(text('a word of the command'), 1).describe('Command and arguments that stop Redis.'),
          }).describe('Commands that start and stop Redis.'),
        }),
        block({
          process: block({ args: list(argument()).describe('Arguments of redis-server.') }).describe(
            'The agent starts redis-server itself.',
          ),
        }),
      ],
      {
        error: ({ input }) =>
          `is ${kindOf(input)}${input && typeof input === 'object' ? ' that names no way to start Redis' : ''}; accepted: { systemd: UNIT } | { command: { start: […], stop: […] } } | { process: { args: […] } }`,
      },
    )
    .optional()
    .describe('How the agent stops and starts Redis.'),
  warmUp: list(text('a word of the command'), 1)
    .optional()
    .describe('Command and arguments that fill caches again after a node was recovered.'),
  restoreDir: text('the path of a folder')
    .optional()
    .describe('Folder on the host that restored files may be written to.'),
  sandbox: flag()
    .prefault(false)
    .describe('Allow dumps to be loaded on this host: the proof takes as much memory again as the data.'),
  local: block({
    keep: count(0, 1_000).prefault(0).describe('Dumps kept on the host after they are stored.'),
    for: duration('1m').prefault('7d').describe('How long such a dump is kept at most.'),
    minFree: percent()
      .prefault('20%')
      .describe('They are removed, oldest first, while less of the disk than this is free.'),
  })
    .prefault({})
    .describe('Dumps kept on the host after they are stored.'),
});

const archiveSettings = block({
  from: choice(['file', 'replication'])
    .optional()
    .describe(
      'Where the bytes come from: Redis’ append-only file, which an agent beside it reads, or its replication stream. Default: the file where there is an agent.',
    ),
  segmentBytes: size().prefault('4mb').describe('Unshipped bytes at which a segment is cut.'),
  segmentEvery: duration('100ms', '1h')
    .optional()
    .describe(
      'Age of the first unshipped byte at which a segment is cut. Default: 3s, less where the RPO asks for it.',
    ),
  spool: size()
    .prefault('2gb')
    .describe(
      'Most that is held on the disk while the store does not take it: of files that Redis has deleted, or of its stream.',
    ),
  keepMoments: duration('1m')
    .prefault('30d')
    .describe('How long every moment can be restored; of what is older the bases are kept.'),
  onLoss: choice(['alert', 'fence'])
    .prefault('alert')
    .describe('On a loss that shows by its effect: tell, or also take writing from everybody and begin the runbook.'),
});

const archive = () =>
  z.union([flag(), archiveSettings], {
    error: ({ input }) =>
      `is ${kindOf(input)}; accepted: true, false, or a block of ${Object.keys(archiveSettings.shape).join(', ')}`,
  });

const managed = block({
  provider: choice(['elasticache', 'memorystore', 'redis-cloud']).describe('Managed service.'),
  replicationGroupId: text('the id of a replication group').optional().describe('ElastiCache: replication group.'),
  region: text('the name of a region').optional().describe('Region of the service.'),
  project: text('the id of a project').optional().describe('Memorystore: Google Cloud project.'),
  instanceId: text('the id of an instance').optional().describe('Memorystore: instance.'),
  subscriptionId: text('the id of a subscription').optional().describe('Redis Cloud: subscription.'),
  databaseId: text('the id of a database').optional().describe('Redis Cloud: database.'),
});

/** One instance. Defaults that depend on the data class are not here: policy/data-classes.ts. */
export const instanceSchema = block({
  url: redisUrl()
    .optional()
    .describe('Server that is backed up: redis://user@host:port, rediss://… or unix:///path. Needed unless `managed`.'),
  password: secret().optional().describe('Password of the user in `url` (without one: of `default`).'),
  tls: tlsFiles().optional().describe('Certificates for a rediss:// url.'),
  replicas: list(redisUrl()).prefault([]).describe('Replicas that may take over as primary.'),
  sentinel: sentinel.optional().describe('Sentinels that name the primary, instead of `replicas`.'),
  dataClass: choice(DATA_CLASSES)
    .prefault('session-store')
    .describe('What the data is worth; the defaults of `backup` and `objectives` come from it.'),
  backup: backup.prefault({}).describe('When and how backups are taken. Without it: by data class (`cache`: none).'),
  archive: archive()
    .optional()
    .describe(
      'Follow the append-only file, or the replication stream, into the repository, for any moment. Default: on for `audit-log`, off for others; never for `cache`.',
    ),
  retention: retention.prefault({}).describe('Backups kept in the repository, by tier.'),
  objectives: block({
    rto: duration().optional().describe('Longest time that a restore may take. Default: by data class.'),
    rpo: duration().optional().describe('Longest time whose writes may be lost. Default: by data class.'),
  })
    .prefault({})
    .describe('What `status` measures against.'),
  drill: drill.optional().describe('Restore drills.'),
  approval: block({
    required: count(0, 10).prefault(1).describe('Approvals that a gate needs.'),
    timeout: duration('1s').prefault('30m').describe('How long a gate stays open; then it counts as rejected.'),
    excludeStarter: flag().prefault(false).describe('Whoever started a run may not approve at its gates.'),
  })
    .prefault({})
    .describe('The gates in the runbooks.'),
  host: host
    .optional()
    .describe(
      'The agent beside Redis. Without it, a server on this machine has one and any other is backed up by replication.',
    ),
  managed: managed.optional().describe('A managed service instead of a server of your own.'),
  limits: block({
    uploadBytesPerSecond: z
      .union([count(1_024, 1_000_000_000_000), size()], {
        error: ({ input }) => `is ${kindOf(input)}; accepted: bytes a second, such as 50mb`,
      })
      .optional()
      .describe('Most that an upload takes, in bytes a second. Default: no limit.'),
    restoreKeysPerSecond: count(1, 100_000_000)
      .optional()
      .describe('Most keys that a restore puts into a live server in a second. Default: as fast as it takes them.'),
    restoreLatency: duration('1ms', '1m')
      .prefault('100ms')
      .describe('A restore slows down while the live server takes longer than this to answer.'),
  })
    .prefault({})
    .describe('What a backup or a restore may take of the machine.'),
});

/** The parsed value is a fraction, 0 to 1. */
function flagBelow() {
  const accepted = 'a percentage such as 50%, or a number from 0 to 1';
  const error = ({ input }: { input?: unknown }) =>
    `is ${typeof input === 'number' ? input : kindOf(input)}; accepted: ${accepted}`;
  const fraction = z.number({ error }).min(0, { error }).max(1, { error });
  return z.union([fraction, percent().transform((value) => value / 100)], { error });
}

function kept(byDefault: number | 'forever') {
  return z
    .union([count(0, 100_000), z.literal('forever')], {
      error: ({ input }) =>
        `is ${typeof input === 'number' ? input : kindOf(input)}; accepted: a whole number, or forever`,
    })
    .prefault(byDefault);
}
