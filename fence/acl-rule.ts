/** A line of ACL LIST. Rules are kept as the server prints them: what is not understood here is given back unaltered. */
export interface AclRule {
  readonly name: string;
  /** Of the root: flags, `#` and the SHA-256 of each password, patterns of keys and channels, then commands. */
  readonly tokens: readonly string[];
  /** Since Redis 7.0: the tokens of each selector, without its parentheses. */
  readonly selectors: readonly (readonly string[])[];
}

/**
 * Takes `user NAME TOKEN… (TOKEN…)…` apart. Exact, because names and patterns hold no spaces, and within a selector no
 * token begins with a parenthesis; a pattern may *end* in one, so a selector ends only where the next one begins.
 *
 * @see https://redis.io/docs/latest/commands/acl-list/
 * @returns undefined for what is no such line
 */
export function parseAclLine(line: string): AclRule | undefined {
  const [user, name, ...words] = line.split(' ');
  if (user !== 'user' || !name || words.includes('')) return undefined;
  const starts = words.flatMap((word, at) => (word.startsWith('(') ? [at] : []));
  const selectors = starts.map((start, index) => words.slice(start, starts[index + 1]).join(' '));
  if (selectors.some((text) => !text.endsWith(')'))) return undefined;
  return {
    name,
    tokens: words.slice(0, starts[0] ?? words.length),
    selectors: selectors.map((text) => text.slice(1, -1).split(' ')),
  };
}

export function formatAclLine({ name, tokens, selectors }: AclRule): string {
  return ['user', name, ...tokens, ...selectors.map(selectorText)].join(' ');
}

/** As ACL SETUSER takes it: one argument, whatever patterns are in it. */
export function selectorText(tokens: readonly string[]): string {
  return `(${tokens.join(' ')})`;
}

export function sameRule(one: AclRule, other: AclRule): boolean {
  return formatAclLine(one) === formatAclLine(other);
}

/** `+…` and `-…`: which commands. Everything else says who, on which keys, on which channels. */
export function isCommandToken(token: string): boolean {
  return /^[+-]/.test(token);
}

export const commandTokens = (tokens: readonly string[]): string[] => tokens.filter(isCommandToken);
export const otherTokens = (tokens: readonly string[]): string[] => tokens.filter((token) => !isCommandToken(token));
