/** Before so many commands failed nothing is concluded. */
const few = 8;

/**
 * Whether strings are worth being put many to a command. Where keys are live already, or a user may not run it, most
 * commands put nothing and each key is sent again: dearer than one RESTORE each.
 */
export class TogetherTally {
  #put = 0;
  #notPut = 0;

  add(put: number, notPut: number): void {
    this.#put += put;
    this.#notPut += notPut;
  }

  get worthIt(): boolean {
    return this.#notPut < few || this.#notPut * 4 < this.#put;
  }
}
