import type { ErrorEntry } from './entry.ts';

export const fenceErrors = {
  FENCE_NOT_POSSIBLE: {
    when: 'Writing could not be stopped by ACL: the server is older than Redis 6, ACL was renamed or taken away, or the user of the configuration lacks a right that the message names.',
    safe: 'No user was changed; the application goes on writing.',
    next: 'Give the user that right (ACL SETUSER <user> +acl +info +time), or stop the writers otherwise: stop the application, close its way with a firewall, or move Redis to another port; then start again with fence: false',
    retryable: false,
  },
  FENCE_ALREADY_OPEN: {
    when: 'A fence was asked for while another one of the same instance was not undone, whose owner runs or may still run; one whose owner has ended is taken over.',
    safe: 'No user was changed. What is fenced stays fenced, and the rules from before it are kept in the repository.',
    next: 'End the run that parks here (rewind abort NAME --reason TEXT), then rewind unfence NAME, then start again.',
    retryable: false,
  },
  FENCE_ENDED: {
    when: 'A fence was to be put in force that was undone already, or whose undoing has begun.',
    safe: 'No user was changed by this step.',
    next: 'Let the undoing end (rewind unfence NAME); a new incident makes a fence of its own.',
    retryable: false,
  },
  FENCE_NOT_IN_FORCE: {
    when: 'Rights were taken away and the server still lets a user write, or it does not answer long enough to prove that it does not.',
    safe: 'The rules from before are in the repository; nothing was restored.',
    next: 'The step is tried again by itself. If it repeats, look who gives rights back: redis-cli ACL LIST',
    retryable: true,
  },
  FENCE_NOT_UNDONE: {
    when: 'Rights were given back and ACL LIST does not show the rules from before the fence for every user.',
    safe: 'The fence stays recorded as open, with the rules from before it; users that are not named have theirs again.',
    next: 'rewind unfence NAME does it again; it changes only what is not yet as before.',
    retryable: true,
  },
  FENCE_RECORD_INVALID: {
    when: 'A record of a fence in the repository cannot be read, or is not what its place says.',
    safe: 'No user was changed.',
    next: 'Compare the file that the message names with redis-cli ACL LIST; server.json of the last backup has the users from before, too.',
    retryable: false,
  },
  FENCE_UNKNOWN: {
    when: 'A fence was to be undone of which the repository has no record.',
    safe: 'No user was changed.',
    next: 'rewind status NAME lists the fences that are open.',
    retryable: false,
  },
} as const satisfies Record<string, ErrorEntry>;
