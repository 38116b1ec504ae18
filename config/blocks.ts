import * as z from 'zod';
import { kindOf } from './leaves.ts';

/** A block of known keys; any other key is an error (config/problems.ts words it). */
export function block<T extends z.core.$ZodLooseShape>(shape: T) {
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'invalid_type'
        ? `is ${kindOf(issue.input)}; accepted: a block of ${Object.keys(shape).join(', ')}`
        : undefined,
  });
}

export function list<T extends z.ZodType>(of: T, min = 0) {
  const accepted = min === 0 ? 'a list' : `a list of at least ${min}`;
  const error = ({ input }: { input?: unknown }) =>
    Array.isArray(input) ? `is an empty list; accepted: ${accepted}` : `is ${kindOf(input)}; accepted: ${accepted}`;
  return z.array(of, { error }).min(min, { error });
}
