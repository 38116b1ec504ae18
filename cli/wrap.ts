/** Readable on any terminal, and when it is pasted into a mail. */
export const COLUMNS = 80;

/** Prose in lines of 80 columns, indented, those after the first by `further`. Words that are longer, such as paths, stay whole. */
export function wrap(text: string, indent = 0, further = indent): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    const margin = lines.length === 0 ? indent : further;
    if (line && margin + line.length + 1 + word.length > COLUMNS) {
      lines.push(line);
      line = '';
    }
    line = line ? `${line} ${word}` : word;
  }
  return [...lines, line].map((each, i) => ' '.repeat(i === 0 ? indent : further) + each).join('\n');
}

/** A label and its text, whose further lines begin under the first. */
export function labelled(label: string, text: string, indent = 15): string {
  return `  ${label.padEnd(indent - 2)}${wrap(text, indent).trimStart()}`;
}

/** Of a text with lines of its own, such as an excerpt of a file, each stays a line, and fits; what goes on stands by two further in. */
export function wrapLines(text: string, indent = 0): string {
  const indentOf = (line: string) => indent + line.length - line.trimStart().length;
  const fitted = (line: string) => wrap(line.trim(), indentOf(line), indentOf(line) + 2).trimEnd();
  return text.split('\n').map(fitted).join('\n');
}
