/** Parameters and values as CONFIG GET answers them. */
export type Configuration = Readonly<Record<string, string>>;

/** What a server of one version says of itself when nobody has configured it. */
export interface ConfigDefaults {
  readonly server: { readonly name: 'redis' | 'valkey'; readonly version: string };
  readonly values: Configuration;
  /** Parameters that had to be set to start the measured server (`port`, `dir`, …): their defaults are not known. */
  readonly setAtStart: readonly string[];
}

export interface DescribedConfiguration {
  /** `all` where no defaults of exactly this version are known: nothing is guessed. */
  readonly configurationIs: 'changed-from-default' | 'all';
  readonly configuration: Configuration;
  /** Names of parameters whose values are secret and set; a restore has to ask for them. */
  readonly withheld: readonly string[];
}

const secretName = /pass|secret|token|credential|private|auth$|api-?key|access-?key/i;
/** A URL with a login in it, whatever the parameter is called. */
const secretValue = /:\/\/[^/\s@]*:[^/\s@]+@/;

/** True for what must never leave the server: passwords, tokens, and values that carry one. */
export function isSecret(name: string, value: string): boolean {
  return value !== '' && (secretName.test(name) || secretValue.test(value));
}

/** A CONFIG GET answer (RESP2: name and value in turn) as an object in the order of names. */
export function configurationOf(reply: readonly string[]): Configuration {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < reply.length; at += 2) pairs.push([reply[at]!, reply[at + 1]!]);
  return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Leaves out secrets, and what is as a server of this version has it by itself. There is no table of defaults here: they
 * move from release to release and with the build, so they are measured or not claimed.
 */
export function describeConfiguration(
  live: Configuration,
  server: { name: string; version: string },
  defaults?: ConfigDefaults,
): DescribedConfiguration {
  const known = defaults && defaults.server.name === server.name && defaults.server.version === server.version;
  const isDefault = (name: string, value: string) =>
    known && !defaults.setAtStart.includes(name) && defaults.values[name] === value;
  const configuration: Record<string, string> = {};
  const withheld: string[] = [];
  for (const [name, value] of Object.entries(live)) {
    if (isSecret(name, value)) withheld.push(name);
    else if (!isDefault(name, value)) configuration[name] = value;
  }
  return { configurationIs: known ? 'changed-from-default' : 'all', configuration, withheld };
}
