import { chmod, mkdir, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { takeTicket } from '../process/ticket-lock.ts';

/** A child that a Redis or Valkey on this host has forked. */
export interface HostFork {
  readonly pid: number;
  /** `replication`: a dump sent to a replica without a file; `other`: a child of a module, or one without a title. */
  readonly kind: 'save' | 'rewrite' | 'replication' | 'other';
  /** The address in its title, where there is one: `127.0.0.1:6379`. */
  readonly server?: string;
}

const pollMs = 250;

/** One for the whole host: agents of several instances, perhaps of several users, meet here. */
const hostTurns = join(tmpdir(), 'redis-rewind-fork-turn');

const kinds: Record<string, HostFork['kind']> = {
  'rdb-bgsave': 'save',
  'aof-rewrite': 'rewrite',
  'rdb-to-slaves': 'replication',
  'rdb-to-replicas': 'replication',
};

/**
 * Lists the saves and rewrites that run on this host, whoever started them, by looking at the processes: nothing has to
 * be kept and nothing can be out of date. Empty where there is no /proc (and for the processes of other containers).
 */
export async function listHostForks(proc = '/proc'): Promise<HostFork[]> {
  const pids = (await readdir(proc).catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map((pid) => forkOf(proc, Number(pid))));
  return found.filter((fork) => fork !== undefined);
}

async function forkOf(proc: string, pid: number): Promise<HostFork | undefined> {
  const [stat, title] = await Promise.all(
    ['stat', 'cmdline'].map((name) => readFile(`${proc}/${pid}/${name}`, 'latin1').catch(() => '')),
  );
  const own = nameAndParent(stat ?? '');
  if (!own) return undefined;
  const words = /^(?:redis|valkey)-([a-z-]+)(?: ([^\0 ]+))?/.exec(title ?? '');
  const kind = kinds[words?.[1] ?? ''];
  if (kind) return { pid, kind, ...(words?.[2] ? { server: words[2] } : {}) };
  // `proc-title-template` may take the title away; a server whose parent is a server is a fork still.
  if (!/^(redis|valkey)/.test(own.name)) return undefined;
  const parent = nameAndParent(await readFile(`${proc}/${own.parent}/stat`, 'latin1').catch(() => ''));
  return parent?.name === own.name ? { pid, kind: 'other' } : undefined;
}

/** From proc(5) `stat`: the name in parentheses, which may hold any character, then state and parent. A zombie is none. */
function nameAndParent(stat: string): { name: string; parent: number } | undefined {
  const end = stat.lastIndexOf(')');
  if (end < 0) return undefined;
  const [state, parent] = stat.slice(end + 2).split(' ');
  return state === 'Z' || state === 'X'
    ? undefined
    : { name: stat.slice(stat.indexOf('(') + 1, end), parent: Number(parent) };
}

/**
 * Starts a save or rewrite when no other runs on this host: two forks at once may double the memory of two servers. The
 * turn is held only from the look at the processes until `start` has returned, by when its fork must be running.
 *
 * @param onWait called with a sentence whenever there is a new reason to wait
 * @throws the signal's reason; what `start` throws
 */
export async function withForkTurn<T>(
  signal: AbortSignal,
  start: () => Promise<T>,
  options: { onWait: (reason: string) => void; turns?: string },
): Promise<T> {
  const turns = options.turns ?? hostTurns;
  await sharedFolder(turns);
  let said = '';
  for (;;) {
    signal.throwIfAborted();
    const turn = takeTicket(turns, 0o644);
    let reason: string;
    if ('holder' in turn) {
      reason = `the agent with pid ${turn.holder.pid} is about to start a save on this host (${turns})`;
    } else {
      try {
        const [fork] = await listHostForks();
        if (!fork) return await start();
        reason = `a ${wording[fork.kind]} runs on this host (pid ${fork.pid}${fork.server ? `, of ${fork.server}` : ''})`;
      } finally {
        turn.release();
      }
    }
    if (reason !== said) options.onWait((said = reason));
    // Never in step with another who waits: both would step back from each other again and again.
    await sleep(pollMs * (0.5 + Math.random()), undefined, { signal });
  }
}

/** Every user of the host may put tickets here and remove those of the dead, so the folder is open to all and not sticky. */
async function sharedFolder(path: string): Promise<void> {
  if ((await mkdir(path, { recursive: true })) !== undefined) await chmod(path, 0o777);
}

const wording: Record<HostFork['kind'], string> = {
  save: 'save',
  rewrite: 'rewrite of the append-only file',
  replication: 'transfer to a replica',
  other: "server's child process",
};
