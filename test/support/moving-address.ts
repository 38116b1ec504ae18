import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

const HOST = '127.0.0.1';

/** An address that outlives the server behind it, as a virtual IP, a name or a load balancer does. */
export interface MovingAddress {
  readonly url: string;
  readonly port: number;
  /** Connections that are made from now on reach another server; those that are there stay where they are. */
  to(port: number): void;
  stop(): Promise<void>;
}

/** What a test does with what goes through it. */
interface OnTheWay {
  /** What the server's bytes become on their way to the client. */
  readonly answers?: (bytes: Buffer) => Buffer;
  /** Done before the server gets the client's bytes. */
  readonly asks?: (bytes: Buffer) => Promise<void>;
}

export async function movingAddress(
  port: number,
  { answers = (bytes) => bytes, asks }: OnTheWay = {},
): Promise<MovingAddress> {
  const sockets = new Set<Socket>();
  let upstreamPort = port;
  const server = createServer((client) => {
    const upstream = connect({ port: upstreamPort, host: HOST });
    client.on('data', async (bytes) => {
      if (asks) {
        client.pause();
        await asks(bytes);
        client.resume();
      }
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => client.write(answers(bytes)));
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('error', () => undefined);
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, HOST, resolve);
  });
  const own = (server.address() as AddressInfo).port;
  return {
    url: `redis://${HOST}:${own}`,
    port: own,
    to: (next) => {
      upstreamPort = next;
    },
    stop: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
