import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RewindError } from '../errors/rewind-error.ts';
import type { StepIO } from '../process/step-io.ts';
import { memoryFacts } from '../redis/host-memory.ts';
import { download } from '../repository/download.ts';
import type { Repository } from '../repository/repository.ts';
import type { Check } from './check.ts';
import { checkLoadedServer } from './check-loaded.ts';
import type { ProvableFacts } from './dump-facts.ts';
import { type LoadFigures, withLoadedServer } from './loaded-server.ts';
import { redisCheckRdb } from './redis-check-rdb.ts';
import { inspectSample } from './sample.ts';
import { chooseServer, type SandboxServer } from './servers.ts';
import { makeWorkFolder } from './work-folder.ts';

export interface ProofRequest {
  /** Names the proof's folder; a backup's id. */
  readonly id: string;
  /** The dump's name in the repository. */
  readonly key: string;
  readonly sizeBytes: number;
  /** What the dump held when it was written; the proof contradicts or confirms it. */
  readonly facts: ProvableFacts;
}

export interface ProofSettings {
  /** Where dumps are downloaded to; needs room for one. */
  readonly workRoot: string;
  readonly servers: readonly SandboxServer[];
  readonly maxMemoryBytes: number;
  readonly sampleKeys: number;
}

export interface ProofReport {
  readonly checks: Check[];
  readonly server?: { readonly name: string; readonly version: string };
  readonly downloadMs?: number;
  readonly load?: LoadFigures;
}

/**
 * Proves a dump from the store alone: downloads it, compares its digest, has a server's own checker look at it, loads it
 * into a real server and compares counts, functions and sampled keys by content. It ends at the first contradiction.
 */
export async function proveStored(
  repository: Repository,
  request: ProofRequest,
  settings: ProofSettings,
  io: StepIO,
): Promise<ProofReport> {
  const folder = await makeWorkFolder(settings.workRoot, request.id, request.sizeBytes);
  const dumpPath = join(folder, 'dump.rdb');
  const ended = new AbortController();
  const { facts } = request;
  const file = await open(dumpPath, 'wx+', 0o600);
  try {
    const startedAt = performance.now();
    const downloading = download(repository, request, dumpPath, io);
    // Three independent readings of the same bytes: by the reader, which picks the sample, as they come; by the server and by
    // its checker. What reads them still when the proof ends has nothing more to say.
    const reading = AbortSignal.any([io.signal, ended.signal]);
    const pick = { count: settings.sampleKeys, id: request.id, sizeBytes: request.sizeBytes };
    const sampling = facts.walked
      ? inspectSample({ fd: file.fd }, pick, { growsUntil: downloading, signal: reading })
      : undefined;
    sampling?.catch(() => undefined);
    const sha256 = await downloading.catch((error) => {
      if (error instanceof RewindError && error.code === 'OBJECT_UNREADABLE') return error;
      throw error;
    });
    if (sha256 instanceof RewindError) {
      // A store that answers and breaks off at the same byte each time has lost what it holds.
      const detail = `the store cannot read the dump back: ${sha256.message}`;
      return { checks: [{ name: 'sha256', result: 'contradicted', detail }] };
    }
    const downloadMs = Math.round(performance.now() - startedAt);
    const digest = compareDigest(sha256, request.facts.sha256);
    if (digest.result === 'contradicted') return { checks: [digest], downloadMs };

    const server = chooseServer(settings.servers, facts.origin);
    if (!server) {
      const wanted = `${facts.origin.serverName} ${facts.origin.serverVersion ?? ''}`.trim();
      return {
        checks: [digest, cannot('load', `the sandbox has no server that loads a dump of ${wanted}`)],
        downloadMs,
      };
    }
    const used = { name: server.name, version: server.version };
    if (facts.usedMemoryBytes > settings.maxMemoryBytes) {
      const detail = `the data took ${facts.usedMemoryBytes} bytes of memory; the sandbox may use ${settings.maxMemoryBytes}`;
      return { checks: [digest, cannot('load', detail)], downloadMs, server: used };
    }
    const available = (await memoryFacts())?.availableBytes ?? Number.POSITIVE_INFINITY;
    if (facts.usedMemoryBytes > available) {
      const detail = `the data took ${facts.usedMemoryBytes} bytes of memory; the sandbox has ${available} left`;
      return { checks: [digest, cannot('load', detail)], downloadMs, server: used };
    }
    const checking = redisCheckRdb(server, dumpPath, reading);
    checking.catch(() => undefined);
    const limits = { maxMemoryBytes: settings.maxMemoryBytes, databases: facts.highestDatabase + 1 };
    const onLoad = (done: number, total: number) => io.onProgress({ phase: 'load', done, total, unit: 'bytes' });
    return await withLoadedServer(
      server,
      dumpPath,
      limits,
      { signal: io.signal, onProgress: onLoad },
      async (result) => {
        const checker = await checking;
        if (checker.result === 'contradicted') return { checks: [digest, checker], downloadMs, server: used };
        const head = [digest, checker];
        if (result.outcome === 'too-large') {
          const detail = `the load was ended at ${result.usedBytes} bytes of memory; the sandbox may use ${settings.maxMemoryBytes}`;
          return { checks: [...head, cannot('load', detail)], downloadMs, server: used };
        }
        if (result.outcome === 'refused') {
          return { checks: [...head, refusedLoad(server, result.reason, facts)], downloadMs, server: used };
        }
        const loaded = await checkLoadedServer(result.redis, result.figures, facts, await sampling, io);
        const detail = `${server.name} ${server.version} loaded it in ${result.figures.loadMs} ms`;
        return {
          checks: [...head, { name: 'load', result: 'ok', detail } satisfies Check, ...loaded],
          downloadMs,
          server: used,
          load: result.figures,
        };
      },
    );
  } finally {
    ended.abort();
    await file.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function compareDigest(found: string, expected: string): Check {
  return found === expected
    ? {
        name: 'sha256',
        result: 'ok',
        detail: 'what is in the store is what was saved, by SHA-256',
        figures: { sha256: found },
      }
    : {
        name: 'sha256',
        result: 'contradicted',
        detail: 'what is in the store is not what was saved: its SHA-256 differs',
        figures: { expected, found },
      };
}

/** A server that has not the dump's modules, or is too old for it, says nothing of the dump; any other refusal contradicts it. */
function refusedLoad(server: SandboxServer, reason: string, facts: ProvableFacts): Check {
  if (/module/i.test(reason) && facts.modules.length > 0) {
    return cannot('load', `the sandbox’s server lacks a module of the dump (${facts.modules.join(', ')})`);
  }
  if (/can't handle RDB format version/i.test(reason)) {
    return cannot('load', `${server.name} ${server.version} is too old for this dump, whatever wrote it: ${reason}`);
  }
  return {
    name: 'load',
    result: 'contradicted',
    detail: `${server.name} ${server.version} refuses to load it: ${reason}`,
  };
}

const cannot = (name: Check['name'], detail: string): Check => ({ name, result: 'not-possible', detail });
