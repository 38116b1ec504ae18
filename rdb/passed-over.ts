import type { Cursor } from './cursor.ts';
import type { StringReader } from './string-reader.ts';
import type { ModuleValue } from './values/module.ts';

/** A record beside the keys whose content nobody asks for; called again after each `needMore` until it returns. */
export interface PassedOver {
  begin(): void;
  run(c: Cursor): void;
}

/** What a module keeps that belongs to no key, behind its name and when it is loaded. */
export class ModuleAux implements PassedOver {
  readonly #module: ModuleValue;

  constructor(module: ModuleValue) {
    this.#module = module;
  }

  begin(): void {
    this.#module.begin(null);
  }

  run(c: Cursor): void {
    this.#module.pieces(c);
  }
}

/** What modules keep beside a key (keymeta.c): a count, then for each four bytes that say whose, and pieces. */
export class KeyMeta implements PassedOver {
  readonly #module: ModuleValue;
  #left = -1;
  #inPieces = false;

  constructor(module: ModuleValue) {
    this.#module = module;
  }

  begin(): void {
    this.#left = -1;
    this.#inPieces = false;
  }

  run(c: Cursor): void {
    if (this.#left < 0) {
      this.#left = c.length();
      c.commit();
    }
    while (this.#left > 0) {
      if (!this.#inPieces) {
        c.u32le();
        c.commit();
        this.#module.begin(null);
        this.#inPieces = true;
      }
      this.#module.pieces(c);
      this.#inPieces = false;
      this.#left--;
    }
  }
}

/** Slots that were being imported during the save (cluster_migrateslots.c of Valkey): a name, a count, pairs. */
export class SlotImport implements PassedOver {
  readonly #strings: StringReader;
  #nameRead = false;
  #left = -1;

  constructor(strings: StringReader) {
    this.#strings = strings;
  }

  begin(): void {
    this.#nameRead = false;
    this.#left = -1;
  }

  run(c: Cursor): void {
    if (!this.#nameRead) {
      this.#strings.read(c, null);
      this.#nameRead = true;
    }
    if (this.#left < 0) {
      this.#left = c.length();
      c.commit();
    }
    while (this.#left > 0) {
      c.length();
      c.length();
      c.commit();
      this.#left--;
    }
  }
}
