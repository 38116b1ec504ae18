import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** From the lowest up: a folder imports only from its own row and the rows before. As in docs/ARCHITECTURE.md. */
const layers = [
  ['errors'],
  ['process'],
  ['config'],
  ['policy'],
  ['repository', 'rdb', 'aof'],
  ['redis'],
  ['fence', 'host'],
  ['sandbox'],
  ['backup'],
  ['archive'],
  ['restore'],
  ['incident'],
  ['check'],
  ['activities'],
  ['workflows'],
  ['schedules'],
  ['workers'],
  ['cli'],
];
const heightOf = (folder: string) => layers.findIndex((row) => row.includes(folder));

/** What knows nothing of Temporal: the same code runs from the plain command line when Temporal is down. */
const domain = layers.slice(0, heightOf('activities')).flat();

const files = layers
  .flat()
  .filter((folder) => existsSync(join(root, folder)))
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  );

interface Import {
  readonly from: string;
  readonly what: string;
  readonly typeOnly: boolean;
}

const imports: Import[] = files.flatMap((file) =>
  [...readFileSync(join(root, file), 'utf8').matchAll(/^(?:import|export)( type)? [^;]*?from '([^']+)';/gms)].map(
    ([, type, specifier]) => ({
      from: file,
      what: specifier?.startsWith('.') ? relative(root, join(root, dirname(file), specifier)) : (specifier as string),
      typeOnly: type !== undefined,
    }),
  ),
);

it('imports run downward only', () => {
  const upward = imports.filter(({ from, what }) => {
    const height = heightOf(what.split('/')[0] as string);
    return height > heightOf(from.split('/')[0] as string);
  });
  expect(upward.map(({ from, what }) => `${from} imports ${what}`)).toEqual([]);
});

it('the domain knows nothing of Temporal', () => {
  const temporal = imports.filter(
    ({ from, what }) => domain.includes(from.split('/')[0] as string) && what.startsWith('@temporalio/'),
  );
  expect(temporal.map(({ from, what }) => `${from} imports ${what}`)).toEqual([]);
});

it('workflows take only types from activities and from folders that do I/O', () => {
  const pure = new Set(['backup/save-again.ts']);
  const values = imports.filter(
    ({ from, what, typeOnly }) =>
      from.startsWith('workflows/') &&
      !typeOnly &&
      !what.startsWith('@temporalio/') &&
      !what.startsWith('workflows/') &&
      !pure.has(what),
  );
  expect(values.map(({ from, what }) => `${from} imports ${what}`)).toEqual([]);
});

it('finds the imports that it judges', () => {
  expect(imports.length).toBeGreaterThan(300);
});
