import type { z } from 'zod';
import type { instanceSchema } from './instance-schema.ts';
import { type LoadedConfig, parseConfig } from './load.ts';

/**
 * The configuration with one more instance, as if the file had named it: how a demo Redis gets in.
 *
 * @throws CONFIG_INVALID
 */
export function addInstance(config: LoadedConfig, name: string, block: z.input<typeof instanceSchema>): LoadedConfig {
  const added = parseConfig(JSON.stringify({ instances: { [name]: block } }), {
    name: 'embedded',
    folder: '/',
    home: '/',
  });
  return { ...config, instances: { ...config.instances, ...added.instances } };
}
