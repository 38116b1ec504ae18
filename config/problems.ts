import type * as z from 'zod';
import { configJsonSchema, type JsonSchema, keysAt } from './json-schema.ts';
import { nearest } from './nearest.ts';
import type { Path, Problem, YamlSource } from './yaml-source.ts';

/** Words what the schema found, at the line and column where it stands in the file. */
export function problemsOf(issues: readonly z.core.$ZodIssue[], source: YamlSource): Problem[] {
  let schema: JsonSchema | undefined;
  return issues.flatMap((issue) => {
    const path = issue.path as Path;
    if (issue.code === 'unrecognized_keys') {
      const known = (schema ??= configJsonSchema());
      return issue.keys.map((key) => unknownKey([...path, key], known, source));
    }
    if (issue.code === 'invalid_key') {
      const sentence = `${path.join('.')}: ${issue.issues[0]?.message ?? issue.message}`;
      return [{ ...source.keyAt(path), sentence }];
    }
    const where = path.length === 0 ? 'the file' : path.join('.');
    return [{ ...source.valueAt(path), sentence: `${where}: ${issue.message}` }];
  });
}

function unknownKey(path: Path, schema: JsonSchema, source: YamlSource): Problem {
  const around = path.slice(0, -1);
  const key = String(path.at(-1));
  const accepted = keysAt(schema, around);
  // The right key one block too high is as common as a wrong letter.
  const deeper = accepted.find((block) => keysAt(schema, [...around, block]).includes(key));
  const meant = nearest(key, accepted) ?? (deeper && `${deeper}.${key}`);
  const sentence = `unknown key ${path.join('.')}${meant ? `, did you mean ${meant}?` : ''}; accepted here: ${accepted.join(', ')}`;
  return { ...source.keyAt(path), sentence };
}
