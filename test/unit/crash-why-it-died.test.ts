import { describe, expect, test } from 'vitest';
import { kmsgLine, oomKillsIn } from '../../incident/crash/death-traces.ts';
import { logLives } from '../../incident/crash/log-lives.ts';
import { explainDeath } from '../../incident/crash/why-it-died.ts';

const started = (pid: number) =>
  `${pid}:C 24 Nov 2026 18:00:00.000 # oO0OoO0OoO0Oo Redis is starting oO0OoO0OoO0Oo\n${pid}:C 24 Nov 2026 18:00:00.001 # Configuration loaded\n`;
const serving = (pid: number) => `${started(pid)}${pid}:M 24 Nov 2026 18:00:01.000 * Ready to accept connections\n`;
const last = (pid: number, text: string, mark = '#') => `${pid}:M 24 Nov 2026 18:30:00.500 ${mark} ${text}\n`;
const at = new Date('24 Nov 2026 18:30:00.500').toISOString();

/** As Redis 7.0 writes one; what a client sent stands in it. */
const crashReport = `

=== REDIS BUG REPORT START: Cut & paste starting from here ===
28:M 24 Nov 2026 18:30:00.500 # Redis 7.0.15 crashed by signal: 11, si_code: 1
28:M 24 Nov 2026 18:30:00.500 # Accessing address: (nil)
28:M 24 Nov 2026 18:30:00.500 # Crashed running the instruction at: 0x55d0c8a3a1b0

------ STACK TRACE ------
EIP:
redis-server *:6379(+0x7a1b0)[0x55d0c8a3a1b0]

------ CURRENT CLIENT INFO ------
id=7 addr=10.0.0.9:41000 laddr=10.0.0.5:6379 name=User requested shutdown cmd=get user=default
argv[0]: '"get"'
argv[1]: '"secret:customer:4711"'
28:M 24 Nov 2026 18:30:00.500 # key 'secret:customer:4711' found in DB containing the following object:
`;

describe('why it died', () => {
  test("the kernel's out-of-memory killer is named with what the process held", () => {
    const died = explainDeath({
      logTail: serving(28) + last(28, 'Background saving started by pid 77', '*'),
      lastExit: { signal: 'SIGKILL', at: '2026-11-24T18:31:00.000Z' },
      kernel: [
        {
          at: Date.parse('2026-11-24T18:20:00Z'),
          text: 'Out of memory: Killed process 99 (java) total-vm:1kB, anon-rss:1kB',
        },
        {
          at: Date.parse('2026-11-24T18:30:59Z'),
          text: 'Memory cgroup out of memory: Killed process 28 (redis-server) total-vm:9000000kB, anon-rss:8388608kB, file-rss:4096kB, shmem-rss:0kB, UID:112 pgtables:16kB oom_score_adj:0',
        },
      ],
    });
    expect(died).toMatchObject({ cause: 'killed-for-memory', certainty: 'shown' });
    expect(died.sentences[0]).toBe(
      "The kernel's out-of-memory killer killed it (process 28) because its control group was at its memory limit. It held 8192 MiB.",
    );
    expect(died.diedAt).toEqual({ at: '2026-11-24T18:31:00.000Z', source: 'the end of its process' });
  });

  test('another process that was killed for memory is not it', () => {
    const kernel = [{ text: 'Out of memory: Killed process 99 (redis-server) total-vm:1kB, anon-rss:1kB' }];
    expect(explainDeath({ logTail: serving(28), lastExit: { signal: 'SIGKILL' }, kernel }).cause).toBe('killed');
    // Where nothing says which process it was, the name has to do.
    expect(explainDeath({ kernel }).cause).toBe('killed-for-memory');
  });

  test('a kill with a counter of the control group is likely for memory, and no more than that', () => {
    expect(explainDeath({ lastExit: { code: 137 }, oomKills: 1 })).toMatchObject({
      cause: 'killed-for-memory',
      certainty: 'likely',
    });
    expect(explainDeath({ lastExit: { signal: 'SIGKILL', oomKilled: true } })).toMatchObject({
      cause: 'killed-for-memory',
      certainty: 'shown',
    });
  });

  test('a kill that nobody explains says that the sender is not known', () => {
    const died = explainDeath({ logTail: serving(28), lastExit: { signal: 'SIGKILL' }, noKernel: 'may not be read' });
    expect(died).toMatchObject({ cause: 'killed', certainty: 'shown' });
    expect(died.sentences[0]).toContain('Who sent it is not known');
    expect(died.unknown.join()).toContain('whether the kernel killed it for memory: may not be read');
  });

  test('a crash report is told by its header, and nothing that a client sent leaves it', () => {
    const died = explainDeath({ logTail: serving(28) + crashReport, lastExit: { signal: 'SIGSEGV' } });
    expect(died).toMatchObject({ cause: 'crashed', certainty: 'shown', diedAt: { at, source: "Redis' log" } });
    expect(died.sentences).toEqual([
      'Redis 7.0.15 crashed by SIGSEGV; its crash report is in its log.',
      'Its process was ended by SIGSEGV.',
    ]);
    expect(JSON.stringify(died)).not.toContain('4711');
  });

  test('who sent the signal is told where Redis saw it', () => {
    const log = `${serving(28)}${last(28, 'Redis 7.0.15 crashed by signal: 6, si_code: 0')}${last(28, 'Killed by PID: 4242, UID: 1000')}`;
    const died = explainDeath({ logTail: log });
    expect(died.cause).toBe('killed');
    expect(died.sentences[0]).toBe('Process 4242 of user number 1000 sent it the signal that ended it.');
    expect(died.sentences[1]).toContain('crashed by SIGABRT');
  });

  test.each([
    ['Out Of Memory allocating 104857600 bytes!', 'out-of-memory', '104857600 bytes'],
    ['User requested shutdown...', 'shut-down', 'SHUTDOWN'],
    [
      "Can't recover from AOF write error when the AOF fsync policy is 'always'. Exiting...",
      'disk-full',
      'append-only file',
    ],
    [
      'Internal error in RDB reading offset 777, function at rdb.c:1 -> Unknown RDB encoding type 9',
      'load-failed',
      'at byte 777',
    ],
  ])('%s', (line, cause, words) => {
    const died = explainDeath({ logTail: serving(28) + last(28, line) });
    expect(died).toMatchObject({ cause, certainty: 'shown' });
    expect(died.sentences[0]).toContain(words);
  });

  test.each([
    ['Short read or OOM loading DB. Unrecoverable error, aborting now.', 'short read'],
    ['Wrong signature trying to load DB from file', 'wrong signature'],
    [
      'Bad file format reading the append only file appendonly.aof.1.incr.aof: make a backup of your AOF file, then use ./redis-check-aof --fix <filename.manifest>',
      'bad file format',
    ],
    ["Can't handle RDB format version 12", 'version 12'],
    ['Wrong RDB checksum expected: (1) but got (2). Aborting now.', 'checksum'],
    ["Unknown command 'SETT' reading the append only file appendonly.aof.1.incr.aof", 'does not know'],
    [
      'Unexpected end of file reading the append only file appendonly.aof.1.incr.aof. You can: 1) Make a backup',
      'in the middle of a command',
    ],
  ])('a start that ends with “%s” is told apart from the death before it', (line, words) => {
    const log = `${serving(28)}${last(28, 'DB saved on disk', '*')}${started(29)}${last(29, line)}${started(30)}${last(30, line)}`;
    const died = explainDeath({ logTail: log, lastExit: { code: 1 } });
    expect(died).toMatchObject({ cause: 'load-failed', failedStarts: 2 });
    expect(died.sentences[0]).toContain(words);
    expect(died.sentences.join(' ')).toContain('it was started 2 times and did not get as far as serving');
    expect(died.lastSeenAlive).toEqual({ at, source: "the last line of Redis' log" });
  });

  test('what it was in trouble with before is said beside the cause, with the words of the system only', () => {
    const log =
      serving(28) +
      last(28, "Can't save in background: fork: Cannot allocate memory") +
      last(
        28,
        'Failed opening the temp RDB file temp-77.rdb (in server root dir /srv/customers/acme) for saving: No space left on device',
      ) +
      last(28, 'Background saving terminated by signal 9');
    const died = explainDeath({ logTail: log, lastExit: { signal: 'SIGKILL' }, kernel: [] });
    expect(died.cause).toBe('killed');
    const all = died.sentences.join(' ');
    expect(all).toContain('It could not start a background save (Cannot allocate memory).');
    expect(all).toContain('Its saves failed (No space left on device).');
    expect(all).toContain('as the out-of-memory killer does');
    expect(all).not.toContain('acme');
  });

  test('a full disk is named, also where nothing else is known', () => {
    const disk = { freeBytes: 4_096, totalBytes: 1e9 };
    expect(explainDeath({ disk })).toMatchObject({ cause: 'disk-full', certainty: 'likely' });
    expect(explainDeath({ disk: { ...disk, freeBytes: 1e8 } })).toMatchObject({ cause: 'unknown' });
  });

  test('what is not known is said to be unknown', () => {
    const died = explainDeath({
      noLog: "Redis' log cannot be read (EACCES)",
      noKernel: "the kernel's log may not be read",
    });
    expect(died).toMatchObject({ cause: 'unknown', certainty: 'unknown', failedStarts: 0 });
    expect(died.sentences).toEqual(['Why it died is not known.']);
    expect(died.unknown).toHaveLength(3);
    expect(died.diedAt).toBeUndefined();
  });

  test('a log that just stops is said to stop, and its last line is the last sign of life', () => {
    const died = explainDeath({ logTail: serving(28) + last(28, '100 changes in 300 seconds. Saving...', '*') });
    expect(died.cause).toBe('unknown');
    expect(died.sentences[0]).toContain('ends without a word about it');
    expect(died.lastSeenAlive?.at).toBe(at);
  });

  test('an exit that a shell hands on is the signal that it was', () => {
    expect(explainDeath({ lastExit: { code: 134 } })).toMatchObject({ cause: 'crashed' });
    expect(explainDeath({ lastExit: { code: 143 } }).sentences[0]).toContain('SIGTERM');
    expect(explainDeath({ lastExit: { code: 0 } })).toMatchObject({ cause: 'shut-down', certainty: 'likely' });
  });
});

describe('logs', () => {
  test('lives are split at starts, a tail that begins in the middle is one that served', () => {
    const lives = logLives(`${last(5, 'DB saved on disk', '*')}${started(6)}${serving(7)}`);
    expect(lives.map(({ pid, served, fromStart }) => [pid, served, fromStart])).toEqual([
      [5, true, false],
      [6, false, true],
      [7, true, true],
    ]);
  });

  test.each([
    ['12:M 24 Nov 2026 18:30:00.500 * Ready', at],
    [
      '12:signal-handler (1795545000) Received SIGTERM scheduling shutdown...',
      new Date(1_795_545_000_000).toISOString(),
    ],
    ['12:M 2026-11-24T18:30:00.500+02:00 * Ready', '2026-11-24T16:30:00.500Z'],
    ['12:M 1795545000500 * Ready', new Date(1_795_545_000_500).toISOString()],
    [
      'pid=12 role=primary timestamp="2026-11-24T18:30:00.500Z" level=notice message="Ready"',
      '2026-11-24T18:30:00.500Z',
    ],
  ])('the time of %s', (line, time) => {
    const [life] = logLives(line);
    expect(life?.pid).toBe(12);
    expect(new Date(life?.lines[0]?.at ?? Number.NaN).toISOString()).toBe(time);
  });
});

test("records of the kernel's ring buffer have their time since boot, and a broken one is passed over", () => {
  const booted = Date.parse('2026-11-24T00:00:00Z');
  const record = '3,1234,5000000,-;Out of memory: Killed process 28 (redis-server)\n SUBSYSTEM=x\n';
  expect(kmsgLine(record, booted)).toEqual([
    { at: booted + 5_000, text: 'Out of memory: Killed process 28 (redis-server)' },
  ]);
  expect(kmsgLine('nonsense', booted)).toEqual([]);
});

test('kills are read from memory.events of a control group', () => {
  expect(oomKillsIn('low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n')).toBe(2);
  expect(oomKillsIn('low 0\n')).toBeUndefined();
});
