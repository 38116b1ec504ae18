// What the bootstrap says while it works, to standard error: one line for each step with its reason, and for the long ones that they
// are alive: a status line on a terminal, a line every 15 seconds elsewhere.

const quietIntervalMs = 15_000;
const terminalIntervalMs = 500;
const underWay = new Map();
let timer;
let shown = false;

/** One line about a part: `redis: found on PATH …`. */
export function say(part, text) {
  clearStatus();
  process.stderr.write(`${part}: ${text}\n`);
}

/**
 * Runs `work` and shows that it goes on. `work` is handed a function that says what it does just now.
 * @template T
 * @param {string} part
 * @param {string} what "building temporal 1.5.1 from source"
 * @param {(now: (detail: string) => void) => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function whileShowing(part, what, work) {
  const entry = { part, what, detail: '', since: Date.now(), key: {} };
  underWay.set(entry.key, entry);
  timer ??= setInterval(showAll, process.stderr.isTTY ? terminalIntervalMs : quietIntervalMs);
  timer.unref();
  try {
    return await work((detail) => {
      entry.detail = detail;
    });
  } finally {
    underWay.delete(entry.key);
    clearStatus();
    if (underWay.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  }
}

function showAll() {
  const lines = [...underWay.values()].map(({ part, what, detail, since }) => {
    const seconds = Math.round((Date.now() - since) / 1000);
    return `${part}: ${what}, ${seconds} s${detail === '' ? '' : ` (${detail})`}`;
  });
  if (!process.stderr.isTTY) {
    for (const line of lines) process.stderr.write(`${line}\n`);
    return;
  }
  clearStatus();
  process.stderr.write(lines.join(' | ').slice(0, (process.stderr.columns || 80) - 1));
  shown = true;
}

function clearStatus() {
  if (!shown) return;
  process.stderr.write('\r\x1b[K');
  shown = false;
}
