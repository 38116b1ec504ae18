import { expect, test } from 'vitest';
import { siblingScript } from '../../process/sibling-script.ts';

test('a script of its own is TypeScript beside a checkout module', () => {
  expect(siblingScript('file:///srv/rewind/process/leash.ts', './leash-main').href).toBe(
    'file:///srv/rewind/process/leash-main.ts',
  );
});

test('a script of its own is JavaScript beside an emitted module', () => {
  expect(siblingScript('file:///srv/rewind/dist/process/leash.js', './leash-main').href).toBe(
    'file:///srv/rewind/dist/process/leash-main.js',
  );
});
