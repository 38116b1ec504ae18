import { readFileSync, writeFileSync } from 'node:fs';

/** As `nice` counts: a fifth of what others get where processors are short, as by `CPUWeight=20` in its systemd unit. */
const behind = 7;
/** The system takes no second change within a tenth of a second from whoever is not root. */
const againMs = 200;

let giving = 0;
let retry: NodeJS.Timeout | undefined;

/**
 * Does some work behind whatever else runs on this machine, where processors are short: beside a Redis that serves, its
 * answers come first. Linux shares processors out by session where nobody has set up anything else (sched(7), "The
 * autogroup feature"), so it is the session that steps back for so long. Changes nothing on other systems, and in a
 * terminal, whose other programs would step back, too.
 */
export async function givingWay<T>(work: () => Promise<T>): Promise<T> {
  if (giving++ === 0) stepBack();
  try {
    return await work();
  } finally {
    if (--giving === 0) stepBack();
  }
}

function stepBack(): void {
  clearTimeout(retry);
  try {
    // proc_pid_stat(5): after the name in brackets state, ppid, pgrp, session, tty_nr.
    const [, , , , terminal] = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    if (terminal === '0') writeFileSync('/proc/self/autogroup', String(giving > 0 ? behind : 0));
  } catch (error) {
    // Else no Linux, or a kernel without it: then everything runs alike.
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') retry = setTimeout(stepBack, againMs).unref();
  }
}
