import { Part } from './part.ts';

/** A key that was said in commands under a name of its own, and is renamed to its own name at last. */
export interface SaidKey {
  readonly key: Buffer;
  readonly temporary: Buffer;
  readonly recordAt: number;
  readonly expireAtMs: number;
}

/** Write commands, for whole keys or for a piece of a long one: then `to` stays -1. */
export class CommandPart extends Part {
  readonly chunks: Buffer[] = [];
  bytes = 0;
  /** Of each command the offset of the record that it belongs to. */
  readonly recordOf: number[] = [];
  /** The commands that rename a key, by their number. */
  readonly renames = new Map<number, SaidKey>();
  /** Keys that were there already. */
  readonly busy: SaidKey[] = [];
  /** Keys whose time passed on their way. */
  vanished = 0;
  /** The server refused one of its commands. */
  refused = false;

  /** Adds a command in the protocol's form. */
  add(command: Buffer, recordAt: number): void {
    this.chunks.push(command);
    this.bytes += command.length;
    this.recordOf.push(recordAt);
  }
}
