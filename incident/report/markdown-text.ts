/** Terminals, mails and diffs show so much without breaking it themselves. */
const COLUMNS = 80;

/** Text that people or servers wrote must not become markup: it could hide a line of the report, or fake one. */
export function plain(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
    .replace(/[\\`*[\]<>|#~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])/g, '\\$&')
    .replace(/ {2,}/g, ' ')
    .trim();
}

/** A paragraph, wrapped. */
export function paragraph(text: string): string {
  return wrap(plain(text), '', '');
}

/** `- text`, wrapped and indented by its level. */
export function bullet(text: string, level = 0): string {
  const indent = '  '.repeat(Number.isInteger(level) && level < 4 ? level : 0);
  return wrap(plain(text), `${indent}- `, `${indent}  `);
}

/** A table of two columns whose lines are as short as they can be. */
export function table(head: readonly [string, string], rows: readonly (readonly [string, string])[]): string[] {
  if (rows.length === 0) return [];
  const cells = [head, ...rows].map(([a, b]) => [plain(a), plain(b)] as const);
  const width = Math.max(...cells.map(([a]) => a.length));
  const line = ([a, b]: readonly [string, string]) => `| ${a.padEnd(width)} | ${b} |`;
  return [line(cells[0]!), `| ${'-'.repeat(width)} | --- |`, ...cells.slice(1).map(line)];
}

/** Words longer than a line (ids, paths) stand alone: broken they could not be copied. */
function wrap(text: string, first: string, further: string): string {
  const lines: string[] = [];
  let line = first;
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = further;
      empty = true;
    }
    line = empty ? `${line}${word}` : `${line} ${word}`;
    empty = false;
  }
  return [...lines, line].join('\n');
}
