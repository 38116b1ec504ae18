import type { Random } from '../../scripts/bench/random.ts';

/** What happens to bytes with lengths in text between them; each changes the buffer that it is given or returns another. */
export const byteMutations: Readonly<Record<string, (bytes: Buffer, random: Random) => Buffer>> = {
  'bits flipped': (bytes, random) => {
    for (let i = random.between(1, 3); i > 0; i--) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
    return bytes;
  },
  'a digit replaced': (bytes, random) => {
    const from = random.below(bytes.length);
    const at = bytes.findIndex((byte, i) => i >= from && byte >= 0x30 && byte <= 0x39);
    if (at >= 0) bytes[at] = 0x30 + random.below(10);
    return bytes;
  },
  'a value changed in place': (bytes, random) => {
    const at = bytes.indexOf('plain', random.below(bytes.length));
    if (at >= 0) bytes.set(random.pick([Buffer.from('\r\n*1\0'), Buffer.from('#TS:1'), random.bytes(5)]), at);
    return bytes;
  },
  'cut off': (bytes, random) => bytes.subarray(0, random.below(bytes.length)),
  'cut where a line ends': (bytes, random) => bytes.subarray(0, bytes.indexOf('\n', random.below(bytes.length)) + 1),
  'a piece taken out': (bytes, random) => {
    const from = random.below(bytes.length);
    return Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + random.between(1, 60))]);
  },
  'a piece twice': (bytes, random) => {
    const from = random.below(bytes.length);
    return Buffer.concat([bytes.subarray(0, from + random.below(80)), bytes.subarray(from)]);
  },
  'a command taken out': (bytes, random) => {
    const from = bytes.indexOf('\r\n*', random.below(bytes.length)) + 2;
    const to = bytes.indexOf('\r\n*', from) + 2;
    return from < 2 || to < 2 ? bytes : Buffer.concat([bytes.subarray(0, from), bytes.subarray(to)]);
  },
  'a huge length': (bytes, random) => {
    const at = bytes.indexOf(random.pick(['$', '*']), random.below(bytes.length));
    const end = at < 0 ? -1 : bytes.indexOf('\r\n', at);
    if (end < 0) return bytes;
    const huge = random.pick(['9007199254740991', '536870912', '2147483647', '-1', '00000000000000000001', '']);
    return Buffer.concat([bytes.subarray(0, at + 1), Buffer.from(huge), bytes.subarray(end)]);
  },
  'other line ends': (bytes, random) => {
    const at = bytes.indexOf('\r\n', random.below(bytes.length));
    return at < 0 ? bytes : Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
  },
  noise: (bytes, random) => {
    bytes.set(
      random.bytes(Math.min(random.between(1, 60), bytes.length)),
      random.below(Math.max(1, bytes.length - 60)),
    );
    return bytes;
  },
};
