import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { Transform, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

/** A request as the proxy saw it. */
export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** S3's name for it, as far as tests need it. */
  readonly operation: string;
}

/** One request on its way: a fault forwards it or not, whole or not. */
export interface Exchange {
  readonly seen: SeenRequest;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Sends it to the real server; `through` may cut or slow the body. */
  forward(through?: Transform): Promise<IncomingMessage>;
  /** Hands the real server's answer on; `through` may cut or slow it. */
  answer(
    from: IncomingMessage,
    options?: { headers?: Record<string, string | undefined>; through?: Transform },
  ): Promise<void>;
  /** Breaks the connection, as a dying server or network does. */
  drop(): void;
}

export type Fault = (exchange: Exchange) => Promise<void>;

/** An HTTP proxy before a real S3 server, which breaks what a test tells it to break and passes on all else. */
export interface S3FaultProxy {
  readonly endpoint: string;
  readonly seen: readonly SeenRequest[];
  /** How many requests of an operation came by. */
  count(operation: string): number;
  /**
   * Breaks requests of an operation (`PutObject`, `UploadPart`, `CompleteMultipartUpload`, `HeadObject`, `GetObject`, …,
   * or `*`): the first `times` ones (default all), after the first `after` went by unharmed.
   */
  fail(operation: string, fault: Fault, options?: { times?: number; after?: number; key?: string }): void;
  heal(): void;
  stop(): Promise<void>;
}

interface Rule {
  readonly operation: string;
  readonly fault: Fault;
  readonly key?: string;
  after: number;
  times: number;
}

/**
 * Starts a proxy on a free loopback port. Signatures stay right: it passes on the Host header as the client signed it.
 *
 * @param tls certificates: the proxy then speaks https, and plainly to the store
 */
export async function startS3FaultProxy(upstream: string, tls?: ServerOptions): Promise<S3FaultProxy> {
  const { hostname, port } = new URL(upstream);
  const seen: SeenRequest[] = [];
  let rules: Rule[] = [];

  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const { method = '', url = '', headers } = request;
    const one: SeenRequest = { method, url, operation: operationOf(method, url, headers) };
    seen.push(one);
    const exchange = exchangeOf(one, request, response, { hostname, port });
    const rule = rules.find((each) => matches(each, one));
    const run = rule?.fault ?? passes;
    run(exchange).catch(() => exchange.drop());
  };
  const server = tls ? createTlsServer(tls, listener) : createServer(listener);
  // Uploads in tests wait on purpose; nothing here may cut them off.
  server.requestTimeout = 0;
  server.headersTimeout = 0;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `${tls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    count: (operation) => seen.filter((each) => each.operation === operation).length,
    fail: (operation, fault, { times = Number.POSITIVE_INFINITY, after = 0, key } = {}) => {
      rules.push({ operation, fault, times, after, key });
    },
    heal: () => {
      rules = [];
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The request goes by unharmed. */
const passes: Fault = async (exchange) => exchange.answer(await exchange.forward());

/** The proxy answers instead of the store, as a store in trouble does. */
export function answers(status: number, code: string): Fault {
  return async ({ request, response }) => {
    await drained(request);
    respond(response, status, code);
  };
}

/** The store does what was asked, and the client is told otherwise. */
export function losesAnswer(status = 500, code = 'InternalError'): Fault {
  return async ({ forward, response }) => {
    await drained(await forward());
    respond(response, status, code);
  };
}

/** 200 for an upload that goes nowhere. */
export function swallows(body = ''): Fault {
  return async ({ request, response }) => {
    await drained(request);
    response.writeHead(200, { etag: '"00000000000000000000000000000000"', 'content-length': Buffer.byteLength(body) });
    response.end(body);
  };
}

/** The connection breaks after so many bytes of the upload. */
export function dropsUploadAfter(bytes: number): Fault {
  return async ({ request, drop }) => {
    let arrived = 0;
    for await (const chunk of request) {
      arrived += (chunk as Buffer).length;
      if (arrived >= bytes) break;
    }
    drop();
  };
}

/** The connection breaks after so many bytes of the answer's body. */
export function dropsDownloadAfter(bytes: number): Fault {
  return async ({ forward, answer, drop }) => {
    const through = cutAfter(bytes);
    await answer(await forward(), { through }).catch(() => undefined);
    drop();
  };
}

/** Waits before it passes the request on. */
export function waits(milliseconds: number): Fault {
  return async (exchange) => {
    await sleep(milliseconds);
    await passes(exchange);
  };
}

/** The body of the answer comes at so many bytes a second. */
export function tricklesDownload(bytesPerSecond: number): Fault {
  return async ({ forward, answer }) => {
    const through = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        setTimeout(() => done(null, chunk), (chunk.length / bytesPerSecond) * 1000);
      },
    });
    await answer(await forward(), { through });
  };
}

/** The store's own answer with other headers; `undefined` takes one away. */
export function answersWithHeaders(headers: Record<string, string | undefined>): Fault {
  return async ({ forward, answer }) => answer(await forward(), { headers });
}

/** A port that takes connections and never says a word; `close` ends it. */
export async function startSilentServer(): Promise<{ endpoint: string; close(): Promise<void> }> {
  const sockets = new Set<{ destroy(): void }>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function matches(rule: Rule, seen: SeenRequest): boolean {
  if (rule.operation !== '*' && rule.operation !== seen.operation) return false;
  if (rule.key && !decodeURIComponent(seen.url).includes(rule.key)) return false;
  if (rule.after > 0) {
    rule.after -= 1;
    return false;
  }
  rule.times -= 1;
  return rule.times >= 0;
}

function operationOf(method: string, url: string, headers: IncomingMessage['headers']): string {
  const { pathname, searchParams } = new URL(url, 'http://store');
  const hasKey = pathname.split('/').filter(Boolean).length > 1;
  if (searchParams.has('uploadId')) {
    if (method === 'PUT') return headers['x-amz-copy-source'] ? 'UploadPartCopy' : 'UploadPart';
    return { POST: 'CompleteMultipartUpload', DELETE: 'AbortMultipartUpload', GET: 'ListParts' }[method] ?? method;
  }
  if (searchParams.has('uploads')) return method === 'POST' ? 'CreateMultipartUpload' : 'ListMultipartUploads';
  if (!hasKey) return { GET: 'ListObjects', HEAD: 'HeadBucket', PUT: 'CreateBucket' }[method] ?? method;
  if (method === 'PUT') return headers['x-amz-copy-source'] ? 'CopyObject' : 'PutObject';
  return { GET: 'GetObject', HEAD: 'HeadObject', DELETE: 'DeleteObject' }[method] ?? method;
}

function exchangeOf(
  seen: SeenRequest,
  request: IncomingMessage,
  response: ServerResponse,
  upstream: { hostname: string; port: string },
): Exchange {
  // A request that is given up in the middle forgets its socket.
  const { socket } = request;
  return {
    seen,
    request,
    response,
    forward: (through) =>
      new Promise((resolve, reject) => {
        const onward = httpRequest(
          {
            ...upstream,
            method: request.method,
            path: request.url,
            headers: request.headers,
            setHost: false,
            agent: false,
          },
          resolve,
        );
        onward.on('error', reject);
        // A client that goes away takes its request to the store with it.
        response.on('close', () => onward.destroy());
        const sent = through ? pipeline(request, through, onward) : pipeline(request, onward);
        sent.catch(reject);
      }),
    answer: async (from, { headers = {}, through } = {}) => {
      const all: Record<string, string | string[] | undefined> = { ...from.headers, ...headers };
      for (const [name, value] of Object.entries(all)) if (value === undefined) delete all[name];
      response.writeHead(from.statusCode ?? 500, all);
      await (through ? pipeline(from, through, response) : pipeline(from, response));
    },
    drop: () => {
      socket.resetAndDestroy();
    },
  };
}

function respond(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>made by the test</Message></Error>`);
}

function cutAfter(bytes: number): Transform {
  let left = bytes;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (chunk.length < left) {
        left -= chunk.length;
        done(null, chunk);
        return;
      }
      this.push(chunk.subarray(0, left));
      setImmediate(() => done(new Error('cut')));
    },
  });
}

function drained(stream: IncomingMessage): Promise<void> {
  return pipeline(
    stream,
    new Writable({
      write(_chunk, _encoding, done) {
        done();
      },
    }),
  );
}
