import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { identitySchema } from '../../repository/identity.ts';
import { decodeDocument, laterProofSchema, MANIFEST_BYTES, manifestSchema } from '../../repository/manifest.ts';
import { pinSchema } from '../../repository/s3/encryption-check.ts';

const page = readFileSync(new URL('../../docs/FORMAT.md', import.meta.url), 'utf8');
const [manifest, proof, identity, pin] = [...page.matchAll(/```json\n(.*?)```/gs)].map(([, text]) => text as string);

test.each<[string, z.ZodType, string | undefined]>([
  ['manifest', manifestSchema, manifest],
  ['later proof', laterProofSchema, proof],
  ['identity', identitySchema, identity],
  ['pin of an alias', pinSchema, pin],
])('the page’s %s is one that the reader takes, and has no field that it does not know', (name, schema, example) => {
  const read = decodeDocument(schema, Buffer.from(example as string), name);
  expect(read).toEqual(JSON.parse(example as string));
});

test('the page names every field of a manifest, a proof, an identity and a pin', () => {
  for (const schema of [manifestSchema, laterProofSchema, identitySchema, pinSchema]) {
    for (const name of fieldsOf(z.toJSONSchema(schema, { io: 'input' }) as JsonSchema))
      expect(page, name).toMatch(new RegExp(`[\`".]${name}[\`"]`));
  }
});

test('the page says how large a document may be', () => {
  expect(MANIFEST_BYTES).toBe(1024 * 1024);
  expect(page).toContain('at most\n   1 MiB');
});

interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  anyOf?: JsonSchema[];
}

function fieldsOf({ properties = {}, items, anyOf = [] }: JsonSchema): string[] {
  const below = [...Object.values(properties), ...(items ? [items] : []), ...anyOf];
  return [...Object.keys(properties), ...below.flatMap(fieldsOf)];
}
