import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { addInstance } from '../config/add-instance.ts';
import { type LoadedConfig, loadConfig } from '../config/load.ts';
import { stateFolder } from '../process/state-folder.ts';
import type { TemporalSettings } from '../workers/temporal-connection.ts';

/** The embedded parts that `rewind up` runs at the moment, written down for the other commands. */
export interface EmbeddedParts {
  readonly temporal?: { readonly address: string; readonly namespace: string; readonly ui: string };
  readonly demo?: { readonly url: string };
}

export interface EffectiveConfig {
  readonly config: LoadedConfig;
  readonly home: string;
  readonly temporal: TemporalSettings;
  readonly embedded: EmbeddedParts;
}

/** A Redis of our own is called this. */
export const DEMO = 'demo';

const fileOf = (home: string): string => join(home, 'embedded.json');

/**
 * The configuration, with the embedded parts in the places that it leaves open.
 *
 * @param embedded what runs; unless given, what `rewind up` has written down
 */
export async function effectiveConfig(
  from: { configPath?: string; env: NodeJS.ProcessEnv; cwd: string },
  embedded?: EmbeddedParts,
): Promise<EffectiveConfig> {
  const config = await loadConfig({ path: from.configPath, env: from.env, cwd: from.cwd });
  const home = stateFolder(from.env, from.cwd);
  return withEmbedded(config, home, embedded ?? (await readEmbedded(home)));
}

async function readEmbedded(home: string): Promise<EmbeddedParts> {
  return readFile(fileOf(home), 'utf8')
    .then(JSON.parse)
    .catch(() => ({}));
}

export function withEmbedded(config: LoadedConfig, home: string, embedded: EmbeddedParts): EffectiveConfig {
  const empty = Object.keys(config.instances).length === 0;
  return {
    config: empty && embedded.demo ? addInstance(config, DEMO, { url: embedded.demo.url }) : config,
    home,
    temporal: config.temporal ?? (embedded.temporal ? { ...embedded.temporal, embedded: true } : {}),
    embedded,
  };
}

export async function writeEmbedded(home: string, embedded: EmbeddedParts): Promise<void> {
  await writeFile(`${fileOf(home)}.new`, `${JSON.stringify(embedded, null, 2)}\n`);
  await rename(`${fileOf(home)}.new`, fileOf(home));
}
