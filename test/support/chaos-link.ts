import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** `silence`: nothing arrives, and nobody is told. `refusal`: connections are reset, and new ones refused. */
export type CutManner = 'silence' | 'refusal';

/** A TCP connection of the test's own between one role and what it talks to, that can be cut. */
export interface ChaosLink {
  /** host:port to talk to instead. */
  readonly address: string;
  readonly port: number;
  cut(manner: CutManner): Promise<void>;
  /** What waited in silence goes on; what was refused may connect again. */
  heal(): Promise<void>;
  stop(): Promise<void>;
}

const HOST = '127.0.0.1';
/** The port of a refusing link is nobody's for a while; somebody may be on it for a moment. */
const LISTEN = { attempts: 100, waitMs: 100 };

/** @param upstreamPort on loopback */
export async function startLink(upstreamPort: number): Promise<ChaosLink> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let silent = false;
  let server: Server | undefined = createServer();

  const take = (client: Socket) => {
    const upstream = connect({ port: upstreamPort, host: HOST });
    const pair = [client, upstream] as const;
    pairs.add(pair);
    for (const [from, to] of [pair, [upstream, client] as const]) {
      from.setNoDelay(true);
      from.on('error', () => undefined);
      from.on('data', (bytes) => {
        if (to.write(bytes)) return;
        from.pause();
        to.once('drain', () => silent || from.resume());
      });
      from.on('end', () => to.end());
      from.on('close', (broken) => {
        pairs.delete(pair);
        if (broken) to.resetAndDestroy();
        else to.end();
      });
    }
    if (silent) for (const socket of pair) socket.pause();
  };
  const listen = async (on: Server, port: number): Promise<void> => {
    on.on('connection', take);
    await new Promise<void>((resolve, reject) => {
      on.once('error', reject);
      on.listen(port, HOST, resolve);
    });
  };
  await listen(server, 0);
  const { port } = server.address() as AddressInfo;

  const close = async () => {
    const closing = server;
    server = undefined;
    const closed = closing && new Promise((resolve) => closing.close(resolve));
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
    await closed;
  };
  return {
    address: `${HOST}:${port}`,
    port,
    cut: async (manner) => {
      if (manner === 'refusal') return close();
      silent = true;
      for (const pair of pairs) for (const socket of pair) socket.pause();
    },
    heal: async () => {
      silent = false;
      for (const pair of pairs) for (const socket of pair) socket.resume();
      for (let attempt = 1; !server; attempt += 1) {
        const again = createServer();
        try {
          await listen(again, port);
          server = again;
        } catch (error) {
          if (attempt >= LISTEN.attempts) throw error;
          await sleep(LISTEN.waitMs);
        }
      }
    },
    stop: close,
  };
}
