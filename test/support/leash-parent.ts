// A parent for the leash's tests, to be ended in every way a parent can end: starts the programs that its argument describes, says
// their process ids on standard output, and stays.
import { type LeashedSpec, startLeashed } from '../../process/leash.ts';

const specs = JSON.parse(process.argv[2] as string) as LeashedSpec[];
const programs = await Promise.all(specs.map(startLeashed));
process.stdout.write(`${JSON.stringify(programs.map(({ pid, leashPid }) => ({ pid, leashPid })))}\n`);
process.once('SIGUSR2', () => {
  setTimeout(() => {
    throw new Error('a crash');
  });
});
setInterval(() => {}, 1_000);
