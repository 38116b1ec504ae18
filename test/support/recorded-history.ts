import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { WorkflowHandle } from '@temporalio/client';
import proto from '@temporalio/proto';

const { History } = proto.temporal.api.history.v1;

const folder = fileURLToPath(new URL('../replay/histories', import.meta.url));

/** A run of an earlier version, as its Temporal kept it. */
export interface RecordedHistory {
  /** `0.1.0/backup-from-dump-file` */
  readonly name: string;
  readonly workflowId: string;
  readonly history: ReturnType<typeof History.create>;
}

/** All that were recorded, of every version: `<version>/<name>.json`. */
export async function recordedHistories(): Promise<RecordedHistory[]> {
  const files = (await readdir(folder, { recursive: true })).filter((name) => /^[^/]+\/[^/]+\.json$/.test(name)).sort();
  return Promise.all(
    files.map(async (file) => {
      const { workflowId, history } = JSON.parse(await readFile(join(folder, file), 'utf8'));
      return { name: file.replace(/\.json$/, ''), workflowId, history: History.fromObject(history) };
    }),
  );
}

/**
 * Keeps the history of a run for later versions to be replayed against.
 *
 * @param version of the product that the run ran on
 * @param names what stands for a path, an address or a name of this machine, by what it is here; in payloads, too
 */
export async function recordHistory(
  run: WorkflowHandle,
  version: string,
  name: string,
  names: Readonly<Record<string, string>>,
): Promise<void> {
  const everywhere = Object.entries({ ...names, [hostname()]: 'a-machine' }).sort(([a], [b]) => b.length - a.length);
  const renamed = (text: string) => everywhere.reduce((so, [here, there]) => so.replaceAll(here, there), text);
  const clean = (value: unknown): unknown => {
    if (typeof value === 'string') return renamed(value);
    if (Array.isArray(value)) return value.map(clean);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [
        key,
        key === 'data' && typeof each === 'string' ? base64(renamed(text(each))) : clean(each),
      ]),
    );
  };
  const told = History.create(await run.fetchHistory());
  const history = clean(History.toObject(told, { longs: String, enums: String, bytes: String }));
  await mkdir(join(folder, version), { recursive: true });
  await writeFile(
    join(folder, version, `${name}.json`),
    `${JSON.stringify({ workflowId: renamed(run.workflowId), history })}\n`,
  );
}

const text = (base64Text: string): string => Buffer.from(base64Text, 'base64').toString();
const base64 = (plain: string): string => Buffer.from(plain).toString('base64');
