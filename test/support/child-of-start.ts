// Stands where `rewind up` stands under `npm start`: notes in a file what reaches it, and ends with the one that started it.
import { appendFileSync } from 'node:fs';
import { endWithParent } from '../../process/parent-watch.ts';

const notes = process.argv[2] as string;
const note = (what: string) => appendFileSync(notes, `${what}\n`);

process.on('SIGINT', () => {
  note('SIGINT');
  // As an orderly stop would take: long enough for a second, unwanted signal to arrive.
  setTimeout(() => process.exit(3), 500);
});
endWithParent(() => {
  note('parent gone');
  process.exit(0);
});
setInterval(() => {}, 1_000);
note(`pid ${process.pid}`);
