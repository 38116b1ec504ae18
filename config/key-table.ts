import { configJsonSchema, type JsonSchema } from './json-schema.ts';
import { isInForce } from './not-in-force.ts';

/** One key of rewind.yaml as documentation lists it. `NAME` stands for an instance's name, `[]` for an entry of a list. */
export interface DocumentedKey {
  readonly path: string;
  readonly meaning: string;
  readonly value: string;
  readonly byDefault: string;
  readonly inForce: boolean;
}

/** Every key, in the order of the schema. */
export function documentedKeys(): DocumentedKey[] {
  return keysIn(configJsonSchema(), [], new Set());
}

/** The table of docs/CONFIGURATION.md. */
export function keyTable(): string {
  const cell = (text: string) => text.replaceAll('|', '\\|');
  const rows = documentedKeys().map(
    ({ path, meaning, value, byDefault, inForce }) =>
      `| \`${path}\` | ${cell(meaning)} | ${cell(value)} | ${cell(byDefault)} | ${inForce ? 'yes' : 'not yet'} |`,
  );
  return ['| key | meaning | value | default | in force |', '| --- | --- | --- | --- | --- |', ...rows, ''].join('\n');
}

function keysIn(schema: JsonSchema, path: readonly string[], seen: Set<string>): DocumentedKey[] {
  const { properties = {}, additionalProperties, items, anyOf = [] } = schema;
  const required = new Set(schema.required as string[] | undefined);
  return [
    ...Object.entries(properties).flatMap(([key, child]) => {
      const here = [...path, key];
      const name = here.join('.');
      // A key of several alternatives stands in each of them.
      if (seen.has(name)) return [];
      seen.add(name);
      return [documented(child, here, required.has(key)), ...keysIn(child, here, seen)];
    }),
    ...(typeof additionalProperties === 'object' ? keysIn(additionalProperties, [...path, 'NAME'], seen) : []),
    ...(items?.properties ? keysIn(items, [...path.slice(0, -1), `${path.at(-1)}[]`], seen) : []),
    // Of alternatives one is needed, not each.
    ...anyOf.flatMap((branch) => keysIn({ ...branch, required: [] }, path, seen)),
  ];
}

function documented(schema: JsonSchema, path: readonly string[], required: boolean): DocumentedKey {
  const { default: byDefault, description = '' } = schema;
  const inForce = isInForce(path.map((key) => (key === 'NAME' ? '*' : key.replace('[]', ''))).join('.'));
  return {
    path: path.join('.'),
    meaning: description.replace(/ Not in force in this version\.$/, ''),
    value: kindOfValue(schema),
    byDefault:
      byDefault !== undefined ? `\`${JSON.stringify(byDefault).replaceAll('"', '')}\`` : required ? 'needed' : '—',
    inForce,
  };
}

/** What kind of value stands at a key, for a person. */
function kindOfValue(schema: JsonSchema): string {
  if (typeof schema.title === 'string') return schema.title;
  if (schema.anyOf) return [...new Set(schema.anyOf.map(kindOfValue))].join(' or ');
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => `\`${value}\``).join(', ');
  if (schema.const !== undefined) return `\`${schema.const}\``;
  if (schema.type === 'array') return `list of ${kindOfValue(schema.items ?? {})}`;
  if (schema.type === 'object')
    return schema.properties ? `{ ${Object.keys(schema.properties).join(', ')} }` : 'block by name';
  return (
    { string: 'text', boolean: '`true`, `false`', integer: 'whole number', number: 'number' }[schema.type ?? ''] ??
    'text'
  );
}
