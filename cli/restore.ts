import { policyOf } from '../policy/instance-policy.ts';
import { openRepository } from '../repository/open.ts';
import { storeKeyList } from '../restore/key-list.ts';
import { parseRestoreInput, type RestoreInput } from '../restore/restore-request.ts';
import { connectClient } from '../workers/temporal-connection.ts';
import type { RestoreResult } from '../workflows/restore-to-point.ts';
import { type EffectiveConfig, effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';
import { runWorkflow, timedId } from './run-workflow.ts';

export interface RestoreOptions {
  readonly to?: string;
  readonly into?: string;
  readonly onConflict?: string;
  readonly match?: string;
  readonly db?: string;
  readonly keyFile?: string;
  readonly ttl?: string;
  readonly timeline?: string;
  readonly compare?: string;
  readonly dryRun?: boolean;
  readonly withoutTemporal?: boolean;
  readonly yes?: boolean;
}

/** Brings a backup back: into a sandbox, a folder, the live server or another instance. */
export async function restore(context: CliContext, options: RestoreOptions, instance: string): Promise<ExitCode> {
  const asked = inputOf(options, instance);
  const { into } = parseRestoreInput(asked);
  const effective = await effectiveConfig(context);
  policyOf(effective.config, instance);
  if (into.kind === 'instance') policyOf(effective.config, into.name);
  const input = await withKeyList(asked, options.keyFile, effective);
  if (options.dryRun || options.withoutTemporal) {
    const here = await import('./restore-here.ts');
    return options.dryRun
      ? here.planHere(context, effective, input)
      : here.restoreHere(context, effective, input, options.yes === true);
  }
  const client = await connectClient(effective.temporal);
  try {
    const result = await runWorkflow<RestoreResult>(client, context, {
      type: 'restoreToPoint',
      workflowId: timedId('restore', instance),
      summary: `Restore of ${instance} to ${input.to ?? 'latest'} into ${input.into ?? 'sandbox'}`,
      input,
    });
    context.output.answer(sentenceOfRestore(result), result);
    return result.verified ? 0 : 3;
  } finally {
    await client.connection.close();
  }
}

/** The options as the workflow takes them; what was not given is left to its defaults. */
export function inputOf(
  { to, into, onConflict, match, db, ttl, compare, timeline }: RestoreOptions,
  instance: string,
): RestoreInput {
  const numberOf = (text: string | undefined) => (text === undefined ? undefined : Number(text));
  const given = { to, into, onConflict, match, ttl, compare, db: numberOf(db), timeline: numberOf(timeline) };
  return { instance, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
}

/** A list of keys goes into the repository, where the roles read it. */
async function withKeyList(
  input: RestoreInput,
  keyFile: string | undefined,
  { config }: EffectiveConfig,
): Promise<RestoreInput> {
  if (keyFile === undefined) return input;
  const repository = await openRepository(config.repository);
  try {
    return { ...input, keyList: await storeKeyList(repository, input.instance, keyFile) };
  } finally {
    repository.close();
  }
}

/** What a person reads when it is done. */
export function sentenceOfRestore({
  to,
  into,
  keys,
  verified,
  path,
  url,
  until,
  passwordFile,
  report,
  moment,
}: RestoreResult): string {
  const { restored, kept, replaced, expired } = keys;
  const proof = moment && (path || url) ? 'a moment of the archive that a server of ours has started from' : undefined;
  const provenOrNot = proof ?? (verified ? 'a backup that was proven by loading it' : 'a backup that was NEVER proven');
  return [
    // A moment's id is its position, which stands below.
    `restored ${moment ? 'a moment' : to} into ${into}:`,
    `  ${restored} keys put back, ${replaced} replaced, ${kept} live ones kept, ${expired} had expired`,
    path || url ? `  from ${provenOrNot}` : `  compared with the backup: ${verified ? 'equal' : 'NOT compared'}`,
    ...(moment ? [`  as of ${moment.time}, position ${moment.position} of timeline ${moment.timeline}`] : []),
    ...(moment ? [`  known ${moment.precision}`] : []),
    ...(path ? [`  files: ${path}`] : []),
    ...(url ? [`  server: ${url}, until ${until}`] : []),
    ...(passwordFile ? [`  its password is in ${passwordFile}`] : []),
    ...(report ? [`  report: ${report}`] : []),
  ].join('\n');
}
