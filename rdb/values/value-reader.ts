import type { Cursor } from '../cursor.ts';
import type { ValueSink } from '../value-sink.ts';

/**
 * Reads one value: begins, then runs, called again after each `needMore`, until it returns. Without a sink it only
 * finds the value's end.
 */
export interface ValueReader {
  begin(sink: ValueSink | null): void;
  run(c: Cursor): void;
}
