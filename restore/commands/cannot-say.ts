import type { CommandFacts } from './command-facts.ts';
import { type CommandTarget, featuresOf } from './command-target.ts';

/** One thing that commands cannot say to a server, and what that costs. */
export interface Unsayable {
  /**
   * `keys`: they are not put back at all; `content`: they come back, and not as they were; `detail`: what no
   * application reads back as data (when a consumer was last seen, how long a key was idle).
   */
  readonly loses: 'keys' | 'content' | 'detail';
  /** Keys, or libraries, consumers, entries: what the sentence counts. */
  readonly count: number;
  readonly sentence: string;
}

/**
 * What of a dump cannot be said to this server in commands, the worst first, before anything is touched. Empty: all of
 * it comes back as it was.
 */
export function unsayable(target: CommandTarget, facts: CommandFacts): Unsayable[] {
  const server = `${target.name} ${target.version}`;
  const features = featuresOf(target);
  const { streams } = facts;
  const found: Unsayable[] = [];
  const say = (loses: Unsayable['loses'], count: number, sentence: string) => {
    if (count > 0) found.push({ loses, count, sentence });
  };
  if (!features.sinceSixTwo) {
    const why = 'this way needs Redis 6.2 or newer';
    say('keys', facts.keys, `${counted(facts.keys, 'key')} cannot be sent to ${server}: ${why}.`);
  }
  for (const [module, keys] of Object.entries(facts.moduleKeys)) {
    const why = "a module's value can be put back only as it stands in the dump";
    say('keys', keys, `${counted(keys, 'key')} of the module type ${module} cannot be said in commands: ${why}.`);
  }
  say('keys', facts.arrayKeys, `${counted(facts.arrayKeys, 'key')} of type array cannot be said to ${server}.`);
  say(
    'keys',
    streams.withoutFields,
    `${counted(streams.withoutFields, 'stream')} with an entry that has no field cannot be said in commands.`,
  );
  if (!features.sinceSeven) {
    const libraries = counted(facts.functions, 'function library', 'function libraries');
    say('content', facts.functions, `${libraries} cannot be loaded: ${server} has no functions.`);
  }
  for (const module of facts.moduleData) {
    say('content', 1, `What the module ${module} keeps beside the keys cannot be said in commands.`);
  }
  if (!features.fieldExpiries) {
    const hashes = counted(facts.hashesWithFieldExpiries, 'hash', 'hashes');
    const what = `${server} has no expiry of fields: they would stay for as long as their key`;
    say('content', facts.hashesWithFieldExpiries, `${hashes} with fields that expire by themselves: ${what}.`);
  }
  say(
    'content',
    facts.keysWithMetadata,
    `What modules keep beside ${counted(facts.keysWithMetadata, 'key')} cannot be said in commands.`,
  );
  say(
    'content',
    streams.unowned,
    `${counted(streams.unowned, 'entry', 'entries')} of streams pending in a group and with no consumer: XCLAIM needs one, they would no longer be pending.`,
  );
  say(
    'content',
    streams.withProducers,
    `${counted(streams.withProducers, 'stream')} may remember the ids that producers gave: that memory cannot be said in commands, and an entry sent again would be added again.`,
  );
  say(
    'content',
    streams.tooLong,
    `${counted(streams.tooLong, 'stream')} so long that entries which are pending and already deleted were not looked for: such entries would no longer be pending.`,
  );
  if (!features.sinceSeven && streams.keys > 0) {
    const what = `${server} keeps neither how many entries were ever added nor the largest deleted id`;
    say('detail', streams.keys, `${counted(streams.keys, 'stream')}: ${what}.`);
  }
  say(
    'detail',
    streams.consumers,
    `${counted(streams.consumers, 'consumer')} of streams will look as if last seen at the time of the restore: no command says when that was.`,
  );
  say(
    'detail',
    facts.keysWithUsage,
    `How long ${counted(facts.keysWithUsage, 'key')} had been idle, or how often used, cannot be said in commands: to the server's eviction all are as new.`,
  );
  const rank = { keys: 0, content: 1, detail: 2 } as const;
  return found.sort((a, b) => rank[a.loses] - rank[b.loses]);
}

/** As `unsayable`, the sentences alone. */
export function cannotSay(target: CommandTarget, facts: CommandFacts): string[] {
  return unsayable(target, facts).map(({ sentence }) => sentence);
}

const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;
