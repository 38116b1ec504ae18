import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Why no certificates can be made on this machine, or undefined when they can. */
export function missingCertificates(): string | undefined {
  return spawnSync('openssl', ['version']).status === 0 ? undefined : 'no openssl to make certificates with';
}

/**
 * An authority of its own, a server's certificate for 127.0.0.1 and an agent's: `ca.pem`, `server.pem` and `agent.pem`, each with its
 * `.key`.
 */
export async function makeCertificates(folder: string): Promise<void> {
  const openssl = (...args: string[]) => {
    const { status, stderr } = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  };
  await writeFile(join(folder, 'server.ext'), 'subjectAltName=IP:127.0.0.1\n');
  await writeFile(join(folder, 'agent.ext'), 'extendedKeyUsage=clientAuth\n');
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-subj',
    '/CN=private authority',
    '-days',
    '2',
  );
  for (const name of ['server', 'agent']) {
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`];
    openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...signed);
  }
}
