/** What every step of a restore is about. */
export interface RestoreSubject {
  /** The instance that is restored into. */
  readonly instance: string;
  readonly policyDigest: string;
  /** Names this restore in folders and in the repository: safe in a path. */
  readonly restoreId: string;
  /** Which time the keys are put, where once was not enough: 2, 3, … */
  readonly attempt?: number;
  /** Set while the writes of everybody else are fenced: the product's own user is used then. */
  readonly fenceId?: string;
}

/** `restores/<instance>/<restore id>/`: what a restore found, key names among it, which belong into no history. */
export const restoreDirectory = ({ instance, restoreId }: RestoreSubject): string =>
  `restores/${instance}/${restoreId}/`;
