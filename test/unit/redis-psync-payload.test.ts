import { createServer, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { afterEach, describe, expect, test } from 'vitest';
import { receiveDump } from '../../redis/psync.ts';

// A server that lies does not exist as a program: these are played by hand on a real socket.

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** Answers the handshake as a Redis 7 does and then what the test wants. */
async function hostile(play: (socket: Socket) => void, answers: Record<string, string> = {}): Promise<{ url: string }> {
  const server = createServer((socket) => {
    undo.push(() => socket.destroy());
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      for (const command of bytes.toString('latin1').split(/(?=\*\d+\r\n)/)) {
        const name = command.split('\r\n')[2] ?? '';
        if (answers[name] !== undefined) socket.write(answers[name]);
        else if (name === 'PING') socket.write('+PONG\r\n');
        else if (name === 'INFO') socket.write('-NOPERM no\r\n');
        else if (name === 'PSYNC') play(socket);
        else if (command.includes('ACK')) continue;
        else socket.write('+OK\r\n');
      }
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  undo.push(() => new Promise((closed) => server.close(closed)));
  return { url: `redis://127.0.0.1:${(server.address() as { port: number }).port}` };
}

const fullSync = `+FULLRESYNC ${'a'.repeat(40)} 17\r\n`;
const mark = '0123456789abcdef0123456789abcdef01234567';

async function read(target: { url: string }): Promise<string> {
  const dump = await receiveDump(target, { stallTimeoutMs: 300 });
  return (await buffer(dump.chunks)).toString('latin1');
}

describe('a server played by hand', () => {
  test('keep-alive newlines stand before every line and never inside the dump', async () => {
    const target = await hostile((socket) => socket.write(`\n\n${fullSync}\n\n\n$5\r\n\n\r\nab+CONTINUE`));
    expect(await read(target)).toBe('\n\r\nab');
  });

  test('the mark that ends a diskless dump is found wherever the network cuts it', async () => {
    const body = `REDIS0011 ${mark.slice(0, 39)} almost${'x'.repeat(100)}`;
    for (let cut = 1; cut < mark.length + 3; cut++) {
      const target = await hostile(async (socket) => {
        socket.setNoDelay(true);
        const all = `${fullSync}$EOF:${mark}\r\n${body}${mark}*1\r\n$4\r\nPING\r\n`;
        const at = all.lastIndexOf(mark) - 1 + cut;
        socket.write(all.slice(0, at));
        setTimeout(() => socket.write(all.slice(at)), 5);
      });
      expect(await read(target)).toBe(body);
    }
  });

  test('a dump cut one byte at a time is the same dump', async () => {
    const body = 'REDIS0011-and-more';
    const target = await hostile(async (socket) => {
      for (const byte of `${fullSync}$EOF:${mark}\r\n${body}${mark}`) {
        socket.write(byte);
        await new Promise((next) => setTimeout(next, 1));
      }
    });
    expect(await read(target)).toBe(body);
  });

  test.each([
    ['a negative length', '$-1\r\n'],
    ['a length beyond what a number holds', '$99999999999999999999\r\n'],
    ['a length that is no number', '$12x\r\n'],
    ['a mark of another length', '$EOF:abc\r\n'],
    ['no dump but a command', '*1\r\n'],
    ['a line without an end', 'a'.repeat(20_000)],
  ])('%s is refused, and not tried again', async (_, header) => {
    const target = await hostile((socket) => socket.write(`${fullSync}${header}`));
    await expect(read(target)).rejects.toMatchObject({ code: 'REDIS_REPLICATION_PROTOCOL', retryable: false });
  });

  test('an enormous length costs no memory: the dump just ends too early', async () => {
    const before = process.memoryUsage().arrayBuffers;
    const target = await hostile((socket) => socket.end(`${fullSync}$9007199254740991\r\nREDIS`));
    await expect(read(target)).rejects.toMatchObject({
      code: 'REDIS_DUMP_INTERRUPTED',
      details: { received: 5, length: 9007199254740991 },
    });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
  });

  test('an answer to INFO of two gigabytes is not read into memory', async () => {
    const target = await hostile(() => {}, { INFO: '$2147483648\r\n' });
    await expect(read(target)).rejects.toMatchObject({ code: 'REDIS_REPLICATION_PROTOCOL' });
  });

  test('a diskless dump that ends without its mark is not whole', async () => {
    const target = await hostile((socket) => socket.end(`${fullSync}$EOF:${mark}\r\nREDIS${mark.slice(1)}`));
    await expect(read(target)).rejects.toMatchObject({ code: 'REDIS_DUMP_INTERRUPTED', retryable: true });
  });

  test('a server that falls silent is given up, while a slow consumer is not', async () => {
    const target = await hostile((socket) => socket.write(`${fullSync}$10\r\nabcde`));
    await expect(read(target)).rejects.toMatchObject({ code: 'REDIS_DUMP_INTERRUPTED' });

    const whole = await hostile((socket) => socket.write(`${fullSync}$${200_000}\r\n${'x'.repeat(200_000)}`));
    let received = 0;
    for await (const chunk of (await receiveDump(whole, { stallTimeoutMs: 1_000 })).chunks) {
      if (received === 0) await new Promise((next) => setTimeout(next, 2_500));
      received += chunk.length;
    }
    expect(received).toBe(200_000);
  });

  test('a partial resynchronization is not taken for a dump', async () => {
    const target = await hostile((socket) => socket.write('+CONTINUE\r\n'));
    await expect(read(target)).rejects.toMatchObject({ code: 'REDIS_REPLICATION_PROTOCOL' });
  });

  test('a save that the server could not begin is worth another try', async () => {
    const target = await hostile((socket) => socket.write("-BGSAVE failed, replication can't continue\r\n"));
    await expect(read(target)).rejects.toMatchObject({ code: 'REDIS_SAVE_FAILED_FOR_DUMP', retryable: true });
  });

  test('an HTTP server at the address is named for what it is', async () => {
    const target = await hostile(() => {}, { PING: 'HTTP/1.1 400 Bad Request\r\n' });
    await expect(read(target)).rejects.toMatchObject({ code: 'REDIS_REPLICATION_PROTOCOL' });
  });
});
