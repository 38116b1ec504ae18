import { join } from 'node:path';
import { type ArchiveProof, proveArchive } from '../archive/read/prove-archive.ts';
import { policyOf } from '../policy/instance-policy.ts';
import { openRepository } from '../repository/open.ts';
import { effectiveConfig } from './effective-config.ts';
import type { CliContext } from './main.ts';
import { sandboxHere } from './moment-here.ts';
import type { ExitCode } from './output.ts';
import { progressView } from './progress-view.ts';
import { wrap } from './wrap.ts';

/** The chain from the first base to the end, and a replay; on this machine, without Temporal. 3 where something is wrong. */
export async function verifyArchive(context: CliContext, instance: string): Promise<ExitCode> {
  const effective = await effectiveConfig(context);
  policyOf(effective.config, instance);
  const repository = await openRepository(effective.config.repository);
  const view = progressView(instance, process.stderr);
  try {
    const io = { signal: context.signal, onProgress: view.show };
    const sandbox = await sandboxHere(effective);
    const home = join(effective.home, 'sandbox');
    const proof = await proveArchive({ repository, instance }, { ...sandbox, home }, io);
    view.end();
    const proven = proof.contradictions.length === 0;
    context.output.answer(textOf(instance, proof), { instance, archive: { proven, ...proof } });
    return proven ? 0 : 3;
  } finally {
    view.end();
    repository.close();
  }
}

function textOf(instance: string, { spans, contradictions, replay }: ArchiveProof): string {
  const lines = spans.map(
    ({ timeline, from, to, segments, bases }) =>
      `timeline ${timeline}: ${from} to ${to} hangs together, ${segments} segments, ${bases} bases`,
  );
  if (replay) {
    const { loaded, moment } = replay;
    const { name, version } = loaded.server;
    lines.push(
      `${name} ${version} started from the newest moment (${new Date(moment.timeMs).toISOString()}) in ${loaded.loadMs} ms: ${loaded.keys} keys`,
    );
  }
  lines.push(...contradictions.map(({ code, message }) => `CONTRADICTED ${code}: ${message}`));
  const verdict = contradictions.length === 0 ? 'proven' : 'NOT whole';
  return [`${instance}: the archive is ${verdict}`, ...lines.map((line) => wrap(line))].join('\n');
}
