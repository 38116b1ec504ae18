import { readFileSync, writeFileSync } from 'node:fs';

/** As `nice` counts: a fifth of what others get where processors are short, as by `CPUWeight=20` in its systemd unit. */
const nice = 7;

/**
 * Lets whatever else runs on this machine go before this process where processors are short: beside a Redis that serves,
 * its answers come first. Linux shares processors out by session where nobody has set up anything else (sched(7), "The
 * autogroup feature"), so it is the session that steps back; programs that are started in sessions of their own, as every
 * server that this product starts is, do not inherit it. Does nothing on other systems, and in a terminal, whose other
 * programs would step back, too.
 */
export function giveWay(): void {
  try {
    // proc_pid_stat(5): after the name in brackets state, ppid, pgrp, session, tty_nr.
    const [, , , , terminal] = readFileSync('/proc/self/stat', 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ');
    if (terminal === '0') writeFileSync('/proc/self/autogroup', String(nice));
  } catch {
    // No Linux, or a kernel without it: then everything runs alike.
  }
}
