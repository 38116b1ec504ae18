import { afterEach, describe, expect, test } from 'vitest';
import { digestOf, flavours, PutKeysStage, put } from '../support/put-keys.ts';
import { missingFlavour } from '../support/servers.ts';

const stage = new PutKeysStage();
afterEach(() => stage.end());

describe.each(flavours)('%s', (flavour) => {
  test.skipIf(missingFlavour(flavour))(
    'what is put into an empty server has the DEBUG DIGEST of the source: every type, several databases, functions',
    async () => {
      const source = await stage.source(flavour, 3000, 31);
      const target = await stage.side(flavour);
      const figures = await put(await stage.task(source.dump, target));
      expect(await digestOf(target)).toBe(await digestOf(source));
      expect(figures).toMatchObject({
        restored: 3075,
        kept: 0,
        replaced: 0,
        expired: 0,
        notSelected: 0,
        functionLibraries: flavour === 'redis-6.2' ? 0 : 1,
        byDatabase: { 0: 3000, 5: 72, 9: 3 },
      });
    },
    60_000,
  );
});
