import type { ErrorEntry } from './entry.ts';

export const hostErrors = {
  HOST_COMMAND_FAILED: {
    when: 'What the configuration names to start or stop Redis (systemctl, or a command) could not be run or ended with an error.',
    safe: 'No file was touched by it; Redis is as that command left it.',
    next: 'Run the command of the message by hand on that machine as the agent’s user, mend what it says, then let the step run again.',
    retryable: true,
  },
  HOST_SERVER_NOT_LOADED: {
    when: 'Redis was started and ended, or never answered, before it had loaded its data.',
    safe: 'Its files are as they were: a server that cannot load them does not write them.',
    next: 'Read why in the message (Redis’ own words). Damaged data: rewind runbook data-corruption NAME',
    retryable: false,
  },
  HOST_SERVER_NOT_OURS: {
    when: 'The agent was to start or stop a Redis that it did not start itself.',
    safe: 'That server was left alone: the agent ends no process that it did not start.',
    next: 'Stop it the way it was started, or let host.service name that way (systemd or command).',
    retryable: false,
  },
  HOST_SERVER_NOT_STOPPED: {
    when: 'Redis was told to end and still runs: most often its last save fails, and it stays up rather than lose it.',
    safe: 'Nothing was killed, and no file was touched.',
    next: 'Look at the end of Redis’ log (disk full, folder not writable), mend it, then let the step run again.',
    retryable: true,
  },
  HOST_NO_SERVICE: {
    when: 'Redis has to be started and the configuration does not say how.',
    safe: 'Nothing was changed.',
    next: 'Start Redis by hand and let the step run again; or name the way under host.service in rewind.yaml.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
