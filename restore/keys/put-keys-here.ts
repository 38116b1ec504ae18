import { closeSync, fstatSync, openSync } from 'node:fs';
import type { Redis } from 'ioredis';
import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import { headerBytes, newestVersion, parseHeader } from '../../rdb/magic.ts';
import type { WalkStart } from '../../rdb/walker.ts';
import { addressOf, connectRedis } from '../../redis/connection.ts';
import { surveyForCommands } from '../commands/command-survey.ts';
import { Acknowledged } from './acknowledged.ts';
import { ConflictNames } from './conflict-names.ts';
import { CursorFile, type PutKeysCursor } from './cursor.ts';
import { readAt } from './dump-tape.ts';
import type { PutKeysFigures } from './figures.ts';
import { KeySelector } from './key-selection.ts';
import { LiveWatch } from './live-watch.ts';
import { assertMayPut } from './may-put.ts';
import { Pipeline } from './pipeline.ts';
import { PutKeysRun } from './put-keys-run.ts';
import type { PutKeysTask } from './put-keys-task.ts';
import { askedFor, resumePoint } from './resume-point.ts';
import { readTargetFacts } from './target-facts.ts';
import { sweepTemporaryKeys } from './temporary-keys.ts';

export interface PutKeysIO extends StepIO {
  readonly resumeFrom?: PutKeysCursor;
  /** Awaited before anything that it announces is sent. */
  readonly onCursor: (cursor: PutKeysCursor) => void | Promise<void>;
}

/** Puts the dump's keys into the live server, in this process: see `putKeys`, which gives it a process of its own. */
export async function putKeysHere(task: PutKeysTask, io: PutKeysIO): Promise<PutKeysFigures> {
  await using undo = new AsyncDisposableStack();
  const fd = openDump(task.dumpPath);
  undo.defer(() => closeSync(fd));
  const dumpBytes = fstatSync(fd).size;
  const header = readHeader(fd);
  const selector = await KeySelector.open(task.selection);
  const redis = undo.adopt(await connectRedis(task.target), (connection) => connection.disconnect());
  const facts = await readTargetFacts(redis);
  if (task.by !== 'commands') await assertMayPut(redis, addressOf(task.target));

  const { names, isNew } = ConflictNames.open(task.namesFile);
  undo.defer(() => names.close());
  const file = undo.adopt(new CursorFile(task.namesFile), (open) => open.close());
  const identity = { dumpBytes, ...header, runId: facts.runId, asked: askedFor(task) };
  const from = resumePoint(identity, io.resumeFrom, file.read(), !isNew);
  if (from.offset >= dumpBytes) return from.figures;
  names.recall(from.namesBytes);
  const acknowledged = new Acknowledged(identity, from, file, io.onCursor, () => names.length);
  if (from.offset === 0 && task.functions === 'flush' && facts.hasFunctions) {
    await acknowledged.tell();
    await flushFunctions(redis);
  }

  if (task.by === 'commands' && isNew) await sweepTemporaryKeys(redis, io.signal);
  const commandFacts =
    task.by === 'commands'
      ? await surveyForCommands(
          { path: task.dumpPath },
          (entry) => selector.has(entry.db, entry.keyBytes, entry.keyStart, entry.keyEnd),
          { signal: io.signal },
        )
      : undefined;
  const watch = new LiveWatch(redis, task.limits, facts);
  undo.defer(() => watch.stop());
  await watch.start();
  const pipeline = undo.adopt(await Pipeline.open(task.target), (open) => open.close());
  const start: WalkStart = { ...header, offset: Math.max(from.offset, headerBytes), db: from.db };
  const run = new PutKeysRun({
    task,
    io,
    fd,
    dumpBytes,
    start,
    selector,
    commandFacts,
    facts,
    redis,
    names,
    acknowledged,
    watch,
    pipeline,
    from,
  });
  // Awaited here: what was opened is closed when it is done.
  return await run.toTheEnd();
}

function openDump(path: string): number {
  try {
    return openSync(path, 'r');
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RewindError('RDB_READ_FAILED', `the dump cannot be read: ${reason}`, { cause });
  }
}

function readHeader(fd: number): { magic: WalkStart['magic']; version: number } {
  const bytes = Buffer.alloc(headerBytes);
  const header = readAt(fd, bytes, 0, headerBytes, 0) === headerBytes ? parseHeader(bytes, 0) : null;
  if (header === null) {
    throw new RewindError('RDB_NOT_A_DUMP', 'the first nine bytes are not those of an RDB dump', {
      details: { offset: 0 },
    });
  }
  if (header.version < 1 || header.version > newestVersion[header.magic]) {
    const message = `RDB version ${header.version} of ${header.magic} is not known to this reader`;
    throw new RewindError('RDB_VERSION_UNKNOWN', message, { details: { offset: 0, ...header } });
  }
  return header;
}

async function flushFunctions(redis: Redis): Promise<void> {
  try {
    await redis.call('FUNCTION', 'FLUSH');
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    throw new RewindError('RESTORE_FUNCTION_REFUSED', `the live server refused FUNCTION FLUSH: ${words}`, {
      details: { words },
    });
  }
}
