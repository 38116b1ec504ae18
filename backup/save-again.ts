/** How often a save is started anew when Redis, or somebody, took it away before its bytes were held. */
export const SAVE_ATTEMPTS = 3;

/** A save that these errors ended is simply asked for again: nothing of it was kept. */
export const SAVE_AGAIN: ReadonlySet<string> = new Set(['SAVE_LOST', 'SAVE_FAILED', 'PIN_LOST', 'DUMP_NOT_FRESH']);
