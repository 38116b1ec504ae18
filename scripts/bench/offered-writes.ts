// A client that writes at a steady rate, whether answers come or not, until its parent ends it. Started by ship.ts.
import { once } from 'node:events';
import { connect } from 'node:net';
import { Random } from './random.ts';

const [port, bytesPerSecond] = process.argv.slice(2).map(Number) as [number, number];
const tickMs = 5;
const valueBytes = 1_000;
const keys = 100_000;
/** In bytes. */
const mostWaiting = 4 * 1024 * 1024;
const mostBatch = 2_000;
/** Commands that are made once and sent again and again. */
const made = 512;

process.once('disconnect', () => process.exit());
const random = new Random(11);
const commands = Array.from({ length: made }, () => {
  const key = `written:${random.below(keys)}`;
  const head = `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${valueBytes}\r\n`;
  return Buffer.concat([Buffer.from(head), random.bytes(valueBytes), Buffer.from('\r\n')]);
});
const socket = connect({ host: '127.0.0.1', port });
await once(socket, 'connect');
socket.resume();
const begun = performance.now();
let sent = 0;
let next = 0;
setInterval(() => {
  const due = ((performance.now() - begun) / 1000) * bytesPerSecond;
  const batch: Buffer[] = [];
  // More than that Redis has not taken yet: it is asked for more than it can.
  while (sent < due && socket.writableLength < mostWaiting && batch.length < mostBatch) {
    const command = commands[next++ % made]!;
    batch.push(command);
    sent += command.length;
  }
  if (batch.length > 0) socket.write(Buffer.concat(batch));
}, tickMs);
process.send!('writing');
