import type { ErrorEntry } from './entry.ts';

const originals = 'The original files were only read, and their copies stand aside.';

export const corruptionErrors = {
  CORRUPTION_ASIDE_CHANGED: {
    when: 'A file of the damaged server is no longer what was copied aside: something wrote to it in the meantime.',
    safe: 'The copy that was made first stands aside as it was made.',
    next: 'Keep Redis stopped (its service manager may have started it again), then copy aside into a new folder.',
    retryable: false,
  },
  CORRUPTION_NOTHING_READABLE: {
    when: 'Nothing can be read out of the damaged file.',
    safe: originals,
    next: 'Take another choice of the runbook: a backup, where there is one.',
    retryable: false,
  },
  CORRUPTION_CHOICE_IMPOSSIBLE: {
    when: 'The choice is none that the damaged files allow, or its files could not be made.',
    safe: originals,
    next: 'Look at the choices again: rewind runbook data-corruption NAME',
    retryable: false,
  },
  CORRUPTION_CHOICE_REFUSED: {
    when: 'A real server did not load what was made of the damaged files, or it holds another number of keys than was counted.',
    safe: originals,
    next: 'Take another choice of the runbook: what was made is not used.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
