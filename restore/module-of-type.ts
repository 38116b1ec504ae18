/** The modules whose types have other names than they have themselves. */
const moduleOfType: readonly (readonly [type: RegExp, module: RegExp])[] = [
  [/^ReJSON/i, /^ReJSON/i],
  [/^(MBbloom|TopK|CMSk|TDIS)/, /^bf$/i],
  [/^TSDB/, /^timeseries$/i],
  [/^ft_/, /^(search|ft)/i],
  [/^graph(data|meta)/, /^(graph|falkordb)/i],
];

/**
 * Whether one of the loaded modules reads the data of a module's type: where types and modules have different names, by
 * what is known of them.
 *
 * @param loaded names as MODULE LIST answers them
 * @param type the nine characters of a type's name, as it stands in the dump
 */
export function hasModule(loaded: readonly string[], type: string): boolean {
  const beginning = type.toLowerCase().replace(/-.*$/, '');
  return loaded.some((module) => {
    const name = module.toLowerCase();
    return (
      beginning.startsWith(name) ||
      name.startsWith(beginning) ||
      moduleOfType.some(([ofType, ofModule]) => ofType.test(type) && ofModule.test(module))
    );
  });
}
