import type { AofCommand } from '../../aof/command.ts';
import { dependenceOf, keyPositions } from './relative-commands.ts';

/** Names of keys that are held at most, in bytes: enough for millions of them. */
const namesBytes = 128 * 1024 * 1024;

interface KeyState {
  readonly db: number;
  readonly name: Buffer;
  /** Made anew since the flush, and by nothing that rests on old values. */
  anew: boolean;
  /** Was there before the flush. */
  old: boolean;
  /** Keys that it was made of, or that were made of it: where one is old, all are. */
  with?: Set<KeyState>;
  commands?: Record<string, number>;
}

export interface RelativeKey {
  readonly db: number;
  readonly name: Buffer;
  readonly commands: Readonly<Record<string, number>>;
}

export interface RelativeFigures {
  readonly keys: number;
  readonly writes: number;
  /** Of the writes: those that took an element (LPOP, LMOVE): another one than they take now. */
  readonly takes: number;
  /** Of the writes: those that may do the opposite now (SETNX). */
  readonly conditional: number;
  /** Writes to keys whose names were too many to be held. */
  readonly untold: number;
}

/**
 * Writes of after a flush whose result is another one with the old values there: everything but what made its key anew. Keys
 * that were made anew since are followed, so that a counter which began again is none of them.
 */
export class RelativeWrites {
  readonly #keys = new Map<string, KeyState>();
  #bytes = 0;
  #untold = 0;
  /** Databases that the flush emptied; undefined: all. */
  #emptied: Set<number> | undefined = new Set();

  /** A flush was passed: what is in there from now on is new. */
  emptied(databases: readonly number[] | 'all'): void {
    if (databases === 'all') this.#emptied = undefined;
    else for (const db of databases) this.#emptied?.add(db);
  }

  command(command: AofCommand): void {
    if (this.#emptied !== undefined && !this.#emptied.has(command.db)) return;
    const name = command.copyArgument(0)?.toString('latin1').toLowerCase();
    // A name that is longer than any command's is not held; nor are arguments behind a long value.
    if (name === undefined) return;
    const options = Array.from({ length: Math.max(0, command.held - 2) }, (_, i) => this.#text(command, i + 2));
    const dependence = dependenceOf(name, options);
    if (dependence === 'none') return;
    const keys = keyPositions(name, command.held, command.argc).flatMap((at) => command.copyArgument(at) ?? []);
    if (dependence === 'anew') {
      for (const key of keys) this.#made(command.db, key);
      return;
    }
    const states = keys.flatMap((key) => this.#stateOf(command.db, key) ?? []);
    const rests = states.filter(({ anew }) => !anew);
    if (rests.length === 0) return;
    const several = states.length > 1 && (dependence === 'from-others' || dependence === 'takes');
    for (const state of several ? states : rests) {
      if (several) {
        // What is made of old values rests on them, also where no such key was there.
        state.anew = false;
        state.with ??= new Set();
        for (const other of states) if (other !== state) state.with.add(other);
      }
      state.commands ??= {};
      state.commands[name] = (state.commands[name] ?? 0) + 1;
    }
  }

  /** Whether any key is asked about: looking for those that were there is a walk through a dump. */
  get isEmpty(): boolean {
    return ![...this.#keys.values()].some(({ commands }) => commands !== undefined);
  }

  /** A key that was there before the flush. */
  wasThere(db: number, name: Buffer): void {
    const state = this.#keys.get(id(db, name));
    if (state) state.old = true;
  }

  /** Those that were there before, and what was made of them. */
  *told(): Generator<RelativeKey> {
    const reached = new Set<KeyState>();
    const next = [...this.#keys.values()].filter(({ old, commands }) => old && commands);
    for (let state = next.pop(); state; state = next.pop()) {
      if (reached.has(state)) continue;
      reached.add(state);
      next.push(...(state.with ?? []));
      if (state.commands) yield { db: state.db, name: state.name, commands: state.commands };
    }
  }

  get figures(): RelativeFigures {
    const figures = { keys: 0, writes: 0, takes: 0, conditional: 0, untold: this.#untold };
    for (const { commands } of this.told()) {
      figures.keys += 1;
      for (const [name, count] of Object.entries(commands)) {
        figures.writes += count;
        const dependence = dependenceOf(name, []);
        if (dependence === 'takes') figures.takes += count;
        if (dependence === 'conditional' || name === 'set' || name === 'restore') figures.conditional += count;
      }
    }
    return figures;
  }

  #made(db: number, key: Buffer): void {
    const state = this.#stateOf(db, key);
    if (state) state.anew = true;
  }

  #stateOf(db: number, name: Buffer): KeyState | undefined {
    const key = id(db, name);
    const known = this.#keys.get(key);
    if (known) return known;
    if (this.#bytes + name.length > namesBytes) {
      this.#untold += 1;
      return undefined;
    }
    this.#bytes += name.length;
    const state: KeyState = { db, name, anew: false, old: false };
    this.#keys.set(key, state);
    return state;
  }

  /** Options are short words; a value is not looked into. */
  #text(command: AofCommand, at: number): string {
    const length = command.argumentEnd[at]! - command.argumentStart[at]!;
    return length > 16 ? '' : (command.copyArgument(at)?.toString('latin1') ?? '');
  }
}

const id = (db: number, name: Buffer): string => `${db}:${name.toString('latin1')}`;
