import { randomBytes, timingSafeEqual } from 'node:crypto';
import { createReadStream } from 'node:fs';
import net from 'node:net';
import { pipeline } from 'node:stream/promises';
import { ReplicaRequests } from './replica-requests.ts';

/** What is offered: these bytes as the whole dataset at this point of this history. */
export interface OfferedDump {
  readonly path: string;
  readonly sizeBytes: number;
  /** 40 hexadecimal digits. */
  readonly replId: string;
  readonly offset: number;
}

/** A listener on loopback that speaks as a primary to the one replica that knows its password. */
export interface PrimaryLink {
  readonly port: number;
  /** What the replica must log in with: nobody else gets the dump, and it takes nobody else's. */
  readonly user: string;
  readonly password: string;
  readonly sentBytes: () => number;
  /** True once a replica has logged in and asked for the dataset. */
  readonly connected: () => boolean;
  /** True once it has acknowledged the end of the dump: it was loaded whole. */
  readonly acknowledged: () => boolean;
  /** Why the transfer has failed; undefined while it has not. */
  readonly failure: () => string | undefined;
  close(): void;
}

const readBytes = 1024 * 1024;
/** Read ahead of what the kernel has taken: on a busy machine the next bytes are there when there is room for them. */
const aheadBytes = 4 * 1024 * 1024;
const pingEveryMs = 5_000;

/**
 * Listens on a free port of 127.0.0.1 and offers a dump the way a primary does
 * (https://redis.io/docs/latest/operate/oss_and_stack/management/replication/): FULLRESYNC, `$<length>`, the bytes, then a
 * PING now and then. Every request for a continuation is answered by the whole dump. It is given once: a replica that asks
 * again has failed to load it.
 */
export async function openPrimaryLink(dump: OfferedDump): Promise<PrimaryLink> {
  const user = 'redis-rewind';
  const password = randomBytes(24).toString('hex');
  const sockets = new Set<net.Socket>();
  let sentBytes = 0;
  let given = false;
  let acknowledged = false;
  let failure: string | undefined;

  const serve = (socket: net.Socket) => {
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    const requests = new ReplicaRequests();
    let loggedIn = false;
    let mine = false;
    let pings: NodeJS.Timeout | undefined;
    socket.once('close', () => {
      sockets.delete(socket);
      clearInterval(pings);
      if (mine && !acknowledged) failure ??= 'it closed the connection before it had loaded the dump';
    });
    socket.on('data', (bytes) => {
      let words: string[][];
      try {
        words = requests.take(bytes);
      } catch {
        socket.destroy();
        return;
      }
      for (const request of words) answer(request);
    });

    const answer = ([command = '', ...args]: string[]) => {
      switch (command.toUpperCase()) {
        case 'PING':
          socket.write(loggedIn ? '+PONG\r\n' : '-NOAUTH Authentication required.\r\n');
          return;
        case 'AUTH':
          loggedIn = same(args.join(' '), `${user} ${password}`);
          socket.write(loggedIn ? '+OK\r\n' : '-WRONGPASS invalid username-password pair\r\n');
          return;
        case 'REPLCONF':
          if (args[0]?.toUpperCase() !== 'ACK') socket.write('+OK\r\n');
          else if (mine && Number(args[1]) >= dump.offset) acknowledged = true;
          return;
        case 'PSYNC':
          if (!loggedIn) socket.write('-NOAUTH Authentication required.\r\n');
          else if (given) {
            failure ??= 'it asked for the dump a second time: it could not load it';
            socket.destroy();
          } else {
            given = mine = true;
            give();
          }
          return;
        default:
          socket.write('-ERR only a replica is served here\r\n');
      }
    };

    const give = () => {
      socket.write(`+FULLRESYNC ${dump.replId} ${dump.offset}\r\n$${dump.sizeBytes}\r\n`);
      const file = createReadStream(dump.path, { highWaterMark: readBytes, start: 0, end: dump.sizeBytes - 1 });
      file.on('data', (chunk) => {
        sentBytes += chunk.length;
      });
      pipeline(file, socket, { end: false }).then(
        () => {
          if (sentBytes !== dump.sizeBytes) {
            failure ??= 'the dump became shorter while it was sent';
            socket.destroy();
            return;
          }
          // Answered as soon as all is loaded; by itself a replica acknowledges once a second.
          socket.write('*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n');
          pings = setInterval(() => socket.write('*1\r\n$4\r\nPING\r\n'), pingEveryMs);
        },
        (error: Error) => {
          failure ??= `the transfer broke: ${error.message}`;
          socket.destroy();
        },
      );
    };
  };

  const server = net.createServer({ highWaterMark: aheadBytes }, serve);
  await new Promise<void>((settle, fail) => {
    server.once('error', fail);
    server.listen({ host: '127.0.0.1', port: 0, exclusive: true }, () => settle());
  });
  return {
    port: (server.address() as net.AddressInfo).port,
    user,
    password,
    sentBytes: () => sentBytes,
    connected: () => given,
    acknowledged: () => acknowledged,
    failure: () => failure,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function same(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}
