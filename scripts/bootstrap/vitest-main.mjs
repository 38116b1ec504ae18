// vitest, ended with the script that runs it: a suite that was killed -9 must not go on alone, nor leave its servers.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel?.unref();
await import('../../node_modules/vitest/vitest.mjs');
