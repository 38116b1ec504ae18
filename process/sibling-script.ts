import { extname } from 'node:path';

/**
 * The address of a script that is started as a process or a worker thread of its own, next to the module that starts it.
 *
 * In a checkout the modules are `.ts` and run as they stand; in the published package they are emitted `.js`. The
 * extension of the asking module says which of the two this is.
 *
 * @param importMetaUrl `import.meta.url` of the asking module
 * @param name relative, without extension: `./leash-main`
 */
export function siblingScript(importMetaUrl: string, name: `./${string}`): URL {
  return new URL(`${name}${extname(new URL(importMetaUrl).pathname)}`, importMetaUrl);
}
