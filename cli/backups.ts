import { policyOf } from '../policy/instance-policy.ts';
import { type BackupEntry, listBackups } from '../repository/catalogue.ts';
import { openInstance } from '../workers/instance-context.ts';
import { megabytes } from '../workflows/figures.ts';
import { effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { wrap } from './wrap.ts';

/** The catalogue is the repository itself: this asks neither Temporal nor Redis. */
export async function backups(context: CliContext, options: { all?: boolean }, instance: string): Promise<ExitCode> {
  const { config, home } = await effectiveConfig(context);
  policyOf(config, instance);
  const { repository } = await openInstance({ config, env: context.env, home }, { login: false })({ instance });
  const found = await listBackups(repository, instance, options);
  repository.close();
  const entries = found.map(({ name: _name, directory: _directory, manifest: _manifest, ...entry }) => entry);
  context.output.answer(tableOf(instance, entries), { instance, backups: entries });
  return 0;
}

/** Fits 80 columns; a reason or a flag stands below its backup. */
function tableOf(instance: string, entries: readonly BackupEntry[]): string {
  if (entries.length === 0) return `no backup of ${instance} yet; next: rewind backup ${instance}`;
  const lines = [row('BACKUP', 'TIME (UTC)', 'TIER', 'SIZE', 'KEYS', 'STATE')];
  for (const entry of entries) {
    const { id, time, tier, sizeBytes, keys, state, reason, flagged } = entry;
    lines.push(row(id, time.slice(0, 16).replace('T', ' '), tier, megabytes(sizeBytes), String(keys), state));
    if (reason) lines.push(wrap(reason, 2));
    if (flagged) lines.push(wrap(`FLAGGED: ${flagged}`, 2));
  }
  return lines.join('\n');
}

function row(id: string, time: string, tier: string, size: string, keys: string, state: string): string {
  return `${id.padEnd(25)} ${time.padEnd(16)} ${tier.padEnd(7)} ${size.padStart(8)} ${keys.padStart(9)} ${state}`;
}
