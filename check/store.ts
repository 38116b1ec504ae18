import { storeClockFindings } from './clock.ts';
import { type Finding, failureFinding } from './finding.ts';
import { isFailure, type Observed, type Reader } from './observed.ts';
import { sentence } from './words.ts';

/** What became of the probe that went through the repository: written, looked at, read back by others, removed. */
export function storeFindings({ probe, policy }: Observed): Finding[] {
  const { written, readings, notRemoved } = probe;
  if (isFailure(written)) {
    const { code, message, next } = written.failure;
    return [{ code, severity: 'error', consequence: `${sentence(message)} No backup can be stored.`, fix: next }];
  }
  const findings: Finding[] = [];
  for (const [reader, answer] of Object.entries(readings) as [Reader, (typeof readings)[Reader]][]) {
    if (!answer) continue;
    if (isFailure(answer)) findings.push(failureFinding(`The repository, read by ${WHO[reader]}`, answer.failure));
    else if (answer.reading === 'missing') findings.push(elsewhere(reader, policy.repository.url));
    else if (answer.reading === 'differs') {
      findings.push({
        code: 'OBJECT_DIFFERS',
        severity: 'error',
        consequence: `What ${WHO[reader]} reads from ${policy.repository.url} is not what was stored there: no backup can be trusted.`,
        fix: `rewind check ${policy.instance} (if it stays, a proxy or the store damages data)`,
      });
    }
  }
  findings.push(...storeClockFindings(written.clockSkewMs));
  if (written.encryption.sse === 'none') {
    findings.push({
      code: 'STORE_NOT_ENCRYPTED',
      severity: written.kind === 'file' ? 'info' : 'warning',
      consequence:
        written.kind === 'file'
          ? `A folder does not encrypt: whoever reads ${policy.repository.url} reads the data.`
          : `Objects in ${policy.repository.url} are stored without encryption: whoever reads them reads the data.`,
      fix:
        written.kind === 'file'
          ? `findmnt --target ${new URL(policy.repository.url).pathname} (put the folder on an encrypted disk)`
          : 'rewind.yaml: repository.encryption: { sse: aws:kms, kmsKeyId: KEY }, or { sse: AES256 }',
    });
  }
  if (!written.hasChecksum && written.kind === 's3') {
    findings.push({
      code: 'STORE_WITHOUT_CHECKSUMS',
      severity: 'info',
      consequence:
        'The store returns no checksum of what it keeps: the bytes are proven by reading them back in the proof.',
      fix: 'none is needed while every backup is proven: rewind status',
    });
  }
  if (notRemoved) {
    findings.push({
      code: 'PROBE_NOT_REMOVED',
      severity: 'warning',
      consequence: `The probe ${written.key} could not be removed (${notRemoved.message}): what crashed runs leave cannot be removed either.`,
      fix: notRemoved.next,
    });
  }
  return findings;
}

const WHO: Readonly<Record<Reader, string>> = {
  agent: 'the agent',
  orchestrator: 'the orchestrator',
  sandbox: 'the sandbox',
  here: 'this machine',
};

/** Two roles with a folder of the same name each: backups would be stored by one and never found by the other. */
function elsewhere(reader: Reader, url: string): Finding {
  return {
    code: 'REPOSITORY_NOT_SHARED',
    severity: 'error',
    consequence:
      `${WHO[reader]} does not see what was stored in ${url} by another role: it looks at another folder of that name.`.replace(
        /^./,
        (letter) => letter.toUpperCase(),
      ),
    fix: url.startsWith('file:')
      ? `mount one shared folder at ${new URL(url).pathname} on the machine of every role, or use s3://bucket/prefix`
      : 'give all roles the same rewind.yaml, then restart their workers',
  };
}
