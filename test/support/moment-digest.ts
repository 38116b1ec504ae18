import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { findOnPath } from '../../process/program-path.ts';
import { connectRedis } from '../../redis/connection.ts';
import { debugAllowed } from './data-digest.ts';
import { connectTo } from './dataset.ts';
import { ask, marker, type WrittenOperation } from './moment-writer.ts';
import { type Flavour, redisBinary, startRedis } from './servers.ts';

/**
 * What the server's own digest leaves out, beside the functions: when keys expire, and of a stream its last id and its groups
 * with what is pending for whom. A consumer for whom nothing is pending is not compared: an XCLAIM that claims nothing makes one,
 * and no server writes that to its file.
 */
const beside = `
  local told = {}
  local function field(list, name)
    for i = 1, #list, 2 do if list[i] == name then return list[i + 1] end end
  end
  for _, db in ipairs({0, 1, 9}) do
    redis.call('SELECT', db)
    local keys = redis.call('KEYS', '*')
    table.sort(keys)
    for _, key in ipairs(keys) do
      table.insert(told, db .. ' ' .. key .. ' ' .. string.format('%.0f', redis.call('PEXPIRETIME', key)))
      if redis.call('TYPE', key).ok == 'stream' then
        local stream = redis.call('XINFO', 'STREAM', key, 'FULL', 'COUNT', 0)
        table.insert(told, key .. ' ' .. field(stream, 'last-generated-id'))
        for _, group in ipairs(field(stream, 'groups')) do
          table.insert(told, key .. ' ' .. field(group, 'name') .. ' ' .. field(group, 'last-delivered-id'))
          for _, entry in ipairs(field(group, 'pending')) do table.insert(told, key .. ' ' .. entry[1] .. ' ' .. entry[2]) end
        end
      end
    end
  end
  return told`;

/** All that a server holds: its own digest, and a line for each thing that this leaves out. */
export type Held = readonly string[];

/** What a server holds. */
export async function heldBy(redis: Redis): Promise<Held> {
  const libraries = (await redis.call('FUNCTION', 'LIST', 'WITHCODE')) as unknown[][];
  const functions = libraries.map((library) =>
    createHash('sha1')
      .update(String(library.at(-1)))
      .digest('hex'),
  );
  const digest = String(await redis.call('DEBUG', 'DIGEST'));
  return [digest, ...functions.sort(), ...((await redis.eval(beside, 0)) as string[])];
}

/** What one of two holds that the other does not, in few lines; none where they hold the same. */
export function difference(found: Held, expected: Held): string[] {
  if (found.join('\n') === expected.join('\n')) return [];
  const only = (of: Held, other: Held) => of.filter((line) => !other.includes(line)).slice(0, 5);
  return [`found ${only(found, expected).join(', ')}`, `expected ${only(expected, found).join(', ')}`];
}

/** Of a plain server that starts on a folder. Thousands are started: without a leash, ended by the kernel with this process. */
export async function heldByPlainServer(dir: string, flavour: Flavour): Promise<Held> {
  const socket = join(dir, 's');
  const settings = {
    ...debugAllowed(flavour),
    port: '0',
    unixsocket: socket,
    dir,
    appendonly: 'yes',
    'aof-load-truncated': 'no',
  };
  const args = Object.entries({ ...settings, save: '' }).flatMap(([name, value]) => [`--${name}`, value]);
  const setpriv = findOnPath('setpriv', process.env.PATH);
  const [program, ...words] = [
    ...(setpriv ? [setpriv, '--pdeathsig', 'KILL', '--'] : []),
    redisBinary(flavour),
    ...args,
  ];
  const server = spawn(program as string, words, { stdio: 'ignore', cwd: dir });
  const ended = once(server, 'exit');
  try {
    for (;;) {
      if (server.exitCode !== null) throw new Error(`the server ended with ${server.exitCode} on ${dir}`);
      const redis = await connectRedis({ url: `unix://${socket}` }).catch(() => undefined);
      try {
        if (redis && !(await redis.info('persistence')).includes('\nloading:1')) return await heldBy(redis);
      } finally {
        redis?.disconnect();
      }
      await sleep(3);
    }
  } finally {
    server.kill('SIGKILL');
    await ended;
  }
}

/** Of one server that is told operation after operation, as the writer recorded them, at each state that is asked for. */
export async function heldByReference(
  flavour: Flavour,
  written: readonly WrittenOperation[],
  states: ReadonlySet<string>,
): Promise<Map<string, Held>> {
  const held = new Map<string, Held>();
  const server = await startRedis({ flavour, config: debugAllowed(flavour) });
  const redis = await connectTo(server);
  const note = async (state: string, sent: Promise<unknown>) => {
    if (!states.has(state)) return;
    await sent;
    held.set(state, await heldBy(redis));
  };
  try {
    for (const [i, { db, commands }] of written.entries()) {
      let sent: Promise<unknown> = redis.select(db);
      for (const command of commands) sent = ask(redis, command);
      await note(`${i - 1}+`, sent);
      await note(String(i), redis.call('SET', marker, String(i)));
    }
    // What was sent behind the last state is answered before the connection ends.
    await redis.ping();
    return held;
  } finally {
    redis.disconnect();
    await server.stop();
  }
}

/** The write commands of a server's own table, containers by their subcommands. */
export async function writeCommandsOf(flavour: Flavour): Promise<{ commands: string[]; version: string }> {
  const server = await startRedis({ flavour });
  const redis = await connectTo(server);
  try {
    const names: string[] = [];
    const take = (table: readonly unknown[][]) => {
      for (const [name, , flags, , , , , , , inside] of table) {
        if ((inside as unknown[][] | undefined)?.length) take(inside as unknown[][]);
        else if ((flags as string[]).includes('write')) names.push(String(name).toLowerCase());
      }
    };
    take((await redis.call('COMMAND')) as unknown[][]);
    const info = await redis.info('server');
    const version = /valkey_version:(\S+)/.exec(info)?.[1] ?? /redis_version:(\S+)/.exec(info)?.[1] ?? '';
    return { commands: names, version };
  } finally {
    redis.disconnect();
    await server.stop();
  }
}
