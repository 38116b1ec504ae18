/** A way to a part that does not serve on this machine, with the reason; the next way is tried. */
export class Unavailable extends Error {
  name = 'Unavailable';
}
