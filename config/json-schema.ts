import * as z from 'zod';
import { isInForce } from './not-in-force.ts';
import { configSchema } from './schema.ts';

/** As much of JSON Schema (draft 7, which editors know best) as ours uses. */
export interface JsonSchema {
  type?: string;
  description?: string;
  default?: unknown;
  properties?: Record<string, JsonSchema>;
  additionalProperties?: JsonSchema | boolean;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  [more: string]: unknown;
}

/** The JSON Schema of rewind.yaml, made from what the loader itself checks by. `rewind config schema` prints it. */
export function configJsonSchema(): JsonSchema {
  const { $schema, ...schema } = z.toJSONSchema(configSchema, { io: 'input', target: 'draft-7' }) as JsonSchema;
  const finished = finish(schema, []);
  return { $schema, title: 'redis-rewind configuration (rewind.yaml)', ...finished };
}

/** The keys that may stand in the block at `path`; none where no block stands there. */
export function keysAt(schema: JsonSchema, path: readonly (string | number)[]): string[] {
  const [key, ...rest] = path;
  if (schema.anyOf) return [...new Set(schema.anyOf.flatMap((branch) => keysAt(branch, path)))];
  if (key === undefined) return Object.keys(schema.properties ?? {});
  const any = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
  const child = typeof key === 'number' ? schema.items : (schema.properties?.[key] ?? any);
  return child ? keysAt(child, rest) : [];
}

/** Leaves off the empty blocks that are only our way to say "all defaults", and says what is not in force. */
function finish(schema: JsonSchema, path: readonly string[]): JsonSchema {
  const finished = { ...schema };
  const { properties, additionalProperties, items, anyOf, default: byDefault } = schema;
  if (byDefault && typeof byDefault === 'object' && Object.keys(byDefault).length === 0) delete finished.default;
  if (!isInForce(path.join('.')) && schema.description) {
    finished.description = `${schema.description} Not in force in this version.`;
  }
  if (properties) {
    finished.properties = Object.fromEntries(
      Object.entries(properties).map(([key, child]) => [key, finish(child, [...path, key])]),
    );
  }
  if (typeof additionalProperties === 'object')
    finished.additionalProperties = finish(additionalProperties, [...path, '*']);
  if (items) finished.items = finish(items, path);
  if (anyOf) finished.anyOf = anyOf.map((branch) => finish(branch, path));
  return finished;
}
