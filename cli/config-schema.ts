import { configJsonSchema } from '../config/json-schema.ts';
import type { CliContext } from './main.ts';
import type { ExitCode } from './output.ts';

/** The JSON Schema of rewind.yaml, for editors. It is a JSON document with and without `--json`. */
export async function configSchema({ output }: CliContext): Promise<ExitCode> {
  const schema = configJsonSchema();
  output.answer(JSON.stringify(schema, null, 2), schema);
  return 0;
}
