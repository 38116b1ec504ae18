import { defineConfig } from 'vitest/config';

const servers = { globalSetup: ['test/global-setup.ts'] };

/** Half an hour of deaths: only where `npm run test:chaos` asks for it. */
const chaos = { extends: true as const, test: { name: 'chaos', include: ['test/chaos/**/*.test.ts'], ...servers } };

export default defineConfig({
  test: {
    // Tests start processes, and Temporal's worker is a native addon: both want processes of their own.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
    projects: [
      { extends: true, test: { name: 'unit', include: ['test/unit/**/*.test.ts'] } },
      {
        extends: true,
        test: { name: 'servers', include: ['test/{workflow,real,fault,replay}/**/*.test.ts'], ...servers },
      },
      ...(process.env.REWIND_CHAOS ? [chaos] : []),
    ],
  },
});
