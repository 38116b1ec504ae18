import type { ErrorEntry } from './entry.ts';

const nothingDone = 'Nothing was started or changed.';

export const configErrors = {
  CONFIG_INVALID: {
    when: 'The configuration file has an unknown key, a wrong type, a bad value or an inline secret.',
    safe: nothingDone,
    next: 'Mend the lines that the message names; docs/CONFIGURATION.md lists every key, `rewind config schema` prints the schema for editors.',
    retryable: false,
  },
  CONFIG_NOT_FOUND: {
    when: 'The file given by --config or REWIND_CONFIG is not there, cannot be read, or is no configuration file.',
    safe: nothingDone,
    next: 'Give the path of a rewind.yaml, or leave it off to use ./rewind.yaml; rewind.example.yaml is one to begin with.',
    retryable: false,
  },
  SECRET_MISSING: {
    when: 'A secret that the configuration names by environment variable or file is not there, or is empty, in the process that needs it.',
    safe: 'Nothing was changed; no connection was tried.',
    next: 'Set the variable or make the file readable for the user of this process, then start it again.',
    retryable: false,
  },
  INSTANCE_UNKNOWN: {
    when: 'The name that was given is no instance of the configuration.',
    safe: nothingDone,
    next: 'Use a name that stands under `instances:`; rewind plan lists them.',
    retryable: false,
  },
  INSTANCE_NOT_REACHED: {
    when: 'The instance is a managed one without a url, and managed services are not in force in this version.',
    safe: nothingDone,
    next: 'Give the instance a `url` to back it up by replication where the provider allows that.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
