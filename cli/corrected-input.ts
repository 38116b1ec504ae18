import { InvalidArgumentError } from 'commander';

/** `--input`: corrected values of a parked step. It stands in the run's history, so no secret belongs into it. */
export function correctedInput(text: string): Readonly<Record<string, unknown>> {
  try {
    const input: unknown = JSON.parse(text);
    if (input !== null && typeof input === 'object' && !Array.isArray(input)) return input as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new InvalidArgumentError(`It takes a JSON object with the corrected values, such as '{"rate":1000}'.`);
}
