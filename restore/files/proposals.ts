import type { ServerDescription } from '../../redis/server-description.ts';

const namesOfTheMachine = new Set([
  'aclfile',
  'availability-zone',
  'bind',
  'bind-source-addr',
  'config-file',
  'crash-log-enabled',
  'daemonize',
  'dir',
  'logfile',
  'pidfile',
  'port',
  'replicaof',
  'slaveof',
  'server_cpulist',
  'bio_cpulist',
  'aof_rewrite_cpulist',
  'bgsave_cpulist',
  'server-cpulist',
  'bio-cpulist',
  'aof-rewrite-cpulist',
  'bgsave-cpulist',
  'supervised',
  'tls-port',
  'unixsocket',
  'unixsocketperm',
  // Answered by CONFIG GET of Redis 6.2, and taken by none of its files.
  'watchdog-period',
]);
const ofTheMachinePrefix = /^(cluster-|replica-announce|slave-announce|tls-.*-file$|tls-ca-cert|tls-cert|tls-key)/;

/** What belongs to the machine or to the role that a server had there: another server is not to take it over. */
export const ofTheMachine = (name: string): boolean => namesOfTheMachine.has(name) || ofTheMachinePrefix.test(name);

/** Parameters of several words: their value is not one string with spaces in it. */
const ofSeveralWords = new Set(['latency-tracking-info-percentiles', 'oom-score-adj-values']);

/** The users as an aclfile, password hashes as the server kept them; undefined where the backup has none. */
export function aclProposal({ acl }: ServerDescription): string | undefined {
  return acl && acl.length > 0 ? `${acl.join('\n')}\n` : undefined;
}

/** The settings as a redis.conf, without what belongs to the old machine. What was withheld is named in it. */
export function configurationProposal(description: ServerDescription): string {
  const { server, configuration, configurationIs, withheld } = description;
  const lines = [
    `# Settings of the ${server.name} ${server.version} that the backup was taken from, proposed by redis-rewind.`,
    configurationIs === 'all'
      ? '# All of them: which ones had been changed could not be told.'
      : '# Those that differ from the default.',
    '# Compare, take what is wanted. Lines that begin with #~ belong to the old machine.',
    ...(withheld.length > 0 ? ['# Set there, and not in the backup because secret:'] : []),
    ...withheld.map((name) => `#   ${oneLine(name)}`),
    '',
  ];
  for (const [name, value] of Object.entries(configuration)) {
    const commented = ofTheMachine(name) || !isSettable(name, value);
    for (const line of linesFor(name, value)) lines.push(`${commented ? '#~ ' : ''}${line}`);
  }
  return `${lines.join('\n')}\n`;
}

/** Words that CONFIG GET answers and redis.conf does not take. */
function isSettable(name: string, value: string): boolean {
  return !(value === '' && name !== 'save' && name !== 'notify-keyspace-events');
}

function linesFor(name: string, value: string): string[] {
  const words = value.split(' ');
  if (name === 'save') return value === '' ? ['save ""'] : inGroups(words, 2).map((pair) => `save ${pair.join(' ')}`);
  if (name === 'client-output-buffer-limit') return inGroups(words, 4).map((limit) => `${name} ${limit.join(' ')}`);
  return [`${name} ${ofSeveralWords.has(name) ? value : quoted(value)}`];
}

function inGroups(words: readonly string[], size: number): string[][] {
  const groups: string[][] = [];
  for (let at = 0; at < words.length; at += size) groups.push(words.slice(at, at + size));
  return groups;
}

/** As sdssplitargs() reads it. */
function quoted(value: string): string {
  if (value !== '' && /^[\w.:/%+*,@-]+$/.test(value)) return value;
  return `"${value.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n').replace(/\r/g, '\\r')}"`;
}

const oneLine = (text: string): string => text.replace(/[\r\n]+/g, ' ');
