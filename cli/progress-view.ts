import { SingleBar } from 'cli-progress';

/** One look at a step that runs. Figures are in `unit`. */
export interface ProgressShown {
  readonly phase?: string;
  readonly step?: string;
  readonly done?: number;
  readonly total?: number;
  readonly unit?: string;
  readonly ratePerSecond?: number;
  readonly etaSeconds?: number;
}

export interface ProgressView {
  show(progress: ProgressShown): void;
  end(): void;
}

/** A bar with rate and time left on a terminal; elsewhere one line for each new step. Both on stderr. */
export function progressView(label: string, stderr: NodeJS.WriteStream): ProgressView {
  return stderr.isTTY ? barView(label, stderr) : lineView(label, stderr);
}

function barView(label: string, stderr: NodeJS.WriteStream): ProgressView {
  const bar = new SingleBar({
    stream: stderr,
    format: `${label} {step} [{bar}] {percentage}% {rate} {left}`,
    barsize: 20,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
    linewrap: false,
  });
  let started = false;
  return {
    show({ step = '', phase = '', done = 0, total = 0, unit, ratePerSecond, etaSeconds }) {
      const payload = {
        step: (step || phase).padEnd(13),
        rate: ratePerSecond ? rate(ratePerSecond, unit) : '',
        left: etaSeconds !== undefined ? `${etaSeconds} s left` : '',
      };
      if (!started) bar.start(total, done, payload);
      started = true;
      bar.setTotal(total);
      bar.update(Math.min(done, total), payload);
    },
    end: () => started && bar.stop(),
  };
}

function lineView(label: string, stderr: NodeJS.WriteStream): ProgressView {
  let last = '';
  return {
    show({ step, phase }) {
      const line = `${label} ${phase ?? ''}${step ? `: ${step}` : ''}`;
      if (line !== last) stderr.write(`${line}\n`);
      last = line;
    },
    end: () => undefined,
  };
}

function rate(perSecond: number, unit: string | undefined): string {
  return unit === 'bytes' ? `${(perSecond / 1e6).toFixed(1)} MB/s` : `${perSecond} ${unit ?? ''}/s`;
}
