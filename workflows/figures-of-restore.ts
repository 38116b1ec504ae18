import type { IncidentReport } from '../incident/report/incident-report.ts';
import type { PutKeysFigures } from '../restore/keys/figures.ts';

/** What came of the keys, summed up over the parts of a restore. */
export type RestoreFigures = Pick<PutKeysFigures, 'restored' | 'kept' | 'replaced' | 'expired' | 'bytes'>;

export const noFigures: RestoreFigures = { restored: 0, kept: 0, replaced: 0, expired: 0, bytes: 0 };

export function addFigures(sum: RestoreFigures, part: RestoreFigures): RestoreFigures {
  return {
    restored: sum.restored + part.restored,
    kept: sum.kept + part.kept,
    replaced: sum.replaced + part.replaced,
    expired: sum.expired + part.expired,
    bytes: sum.bytes + part.bytes,
  };
}

export function figuresOfReport({
  restored,
  kept,
  replaced,
  expired,
  bytes,
}: RestoreFigures): IncidentReport['figures'] {
  return { keysRestored: restored, keysKept: kept, keysReplaced: replaced, keysExpired: expired, bytes };
}
