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
 * with what is pending for whom.
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
        table.insert(told, field(stream, 'last-generated-id'))
        for _, group in ipairs(field(stream, 'groups')) do
          table.insert(told, field(group, 'name') .. ' ' .. field(group, 'last-delivered-id'))
          for _, entry in ipairs(field(group, 'pending')) do table.insert(told, entry[1] .. ' ' .. entry[2]) end
          for _, consumer in ipairs(field(group, 'consumers')) do table.insert(told, field(consumer, 'name')) end
        end
      end
    end
  end
  return redis.sha1hex(table.concat(told, '\\n'))`;

async function digestOf(redis: Redis): Promise<string> {
  const libraries = (await redis.call('FUNCTION', 'LIST', 'WITHCODE')) as unknown[][];
  const functions = libraries.map((library) =>
    createHash('sha1')
      .update(String(library.at(-1)))
      .digest('hex'),
  );
  const digests = [await redis.call('DEBUG', 'DIGEST'), await redis.eval(beside, 0), ...functions.sort()];
  return digests.join(' ');
}

/** Of a plain server that starts on a folder. Thousands are started: without a leash, ended by the kernel with this process. */
export async function digestOfPlainServer(dir: string, flavour: Flavour): Promise<string> {
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
        if (redis && !(await redis.info('persistence')).includes('\nloading:1')) return await digestOf(redis);
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
export async function referenceDigests(
  flavour: Flavour,
  written: readonly WrittenOperation[],
  states: ReadonlySet<string>,
): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  const server = await startRedis({ flavour, config: debugAllowed(flavour) });
  const redis = await connectTo(server);
  const note = async (state: string, sent: Promise<unknown>) => {
    if (!states.has(state)) return;
    await sent;
    digests.set(state, await digestOf(redis));
  };
  try {
    for (const [i, { db, commands }] of written.entries()) {
      let sent: Promise<unknown> = redis.select(db);
      for (const command of commands) sent = ask(redis, command);
      await note(`${i - 1}+`, sent);
      await note(String(i), redis.call('SET', marker, String(i)));
    }
    return digests;
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
