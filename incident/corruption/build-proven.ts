import { RewindError } from '../../errors/rewind-error.ts';
import type { StepIO } from '../../process/step-io.ts';
import type { SandboxServer } from '../../sandbox/servers.ts';
import { type BuildRequest, type BuiltChoice, buildChoice } from './build-choice.ts';
import { type LoadedFiles, type LoadFilesLimits, proveBuilt } from './loaded-files.ts';

/** What was built for a choice, after a real server has loaded it. */
export interface ProvenChoice {
  readonly built: BuiltChoice;
  readonly loaded: LoadedFiles;
}

/**
 * Builds a choice and has a real server load it. Where that refuses a salvage over a function library, the salvage is made
 * again without them: whether the text of a library is whole only a server can tell, and the keys are worth more.
 *
 * @throws as `buildChoice` and `proveBuilt`
 */
export async function buildProven(
  server: SandboxServer,
  request: BuildRequest,
  limits: LoadFilesLimits & { readonly workRoot: string },
  io: StepIO,
): Promise<ProvenChoice> {
  const built = await buildChoice(request, io);
  try {
    return { built, loaded: await proveBuilt(server, built, request.settings, limits, io) };
  } catch (error) {
    const overLibrary = error instanceof RewindError && /librar|function/i.test(error.message);
    if (!overLibrary || request.choice !== 'salvage' || request.withoutFunctions) throw error;
    return await buildProven(server, { ...request, withoutFunctions: true }, limits, io);
  }
}
