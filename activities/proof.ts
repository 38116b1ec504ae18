import type { Repository } from '../repository/repository.ts';
import { type ProofReport, type ProofRequest, type ProofSettings, proveStored } from '../sandbox/prove.ts';
import { runStep } from './step.ts';

/** The step that loads a dump. It knows the store and a server of its own, never production. */
export function proofActivities(repository: Repository, settings: ProofSettings) {
  return {
    loadAndVerify: (request: ProofRequest): Promise<ProofReport> =>
      runStep((io) => proveStored(repository, request, settings, io)),
  };
}

export type ProofActivities = ReturnType<typeof proofActivities>;
