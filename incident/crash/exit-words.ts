import type { LastExit } from './death-traces.ts';
import { timeWords } from './words.ts';

/** Shells, containers and supervisors hand a signal on as 128 + its number. */
const byCode: Readonly<Record<number, string>> = {
  129: 'SIGHUP',
  130: 'SIGINT',
  132: 'SIGILL',
  134: 'SIGABRT',
  135: 'SIGBUS',
  136: 'SIGFPE',
  137: 'SIGKILL',
  139: 'SIGSEGV',
  143: 'SIGTERM',
};

/** The signal that ended a process, also where only its exit code was kept. */
export function signalOf(lastExit: LastExit | undefined): string | undefined {
  const signal = lastExit?.signal;
  if (signal) return /^SIG[A-Z0-9]{2,8}$/.test(signal) ? signal : 'a signal';
  return byCode[lastExit?.code ?? 0];
}

/** How the process ended, as a sentence; none where nothing is known. */
export function exitSentence(lastExit: LastExit | undefined): string[] {
  if (!lastExit) return [];
  const signal = signalOf(lastExit);
  const when = lastExit.at ? ` at ${timeWords(lastExit.at)}` : '';
  if (signal) return [`Its process was ended by ${signal}${when}.`];
  return typeof lastExit.code === 'number' ? [`Its process ended with exit code ${lastExit.code}${when}.`] : [];
}
