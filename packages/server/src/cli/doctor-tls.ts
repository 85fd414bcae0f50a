import type { Config } from '../config/schema.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Finding } from './doctor-machine.ts';

const dayMs = 24 * 3_600_000;
/** Renewals commonly happen 30 days before the end, so something is wrong when this few are left. */
const daysWanted = 14;

/** Checks the certificate that `serve` would load; returns no finding without TLS. Unusable files are reported elsewhere. */
export async function checkTls({ tls }: Config): Promise<readonly Finding[]> {
  const { cert, key } = tls;
  if (cert === undefined || key === undefined) return [];
  const { CertificateError, loadCertificate } = await import('../tls/certificate.ts');
  try {
    const { names, validFromMs, validToMs } = await loadCertificate({ ...tls, cert, key });
    const nowMs = systemClock.nowMs();
    const days = Math.floor((validToMs - nowMs) / dayMs);
    const about = `The certificate ${cert} for ${names}`;
    if (validFromMs > nowMs)
      return [{ verdict: 'doubtful', text: `${about} is not valid before ${dateOf(validFromMs)}` }];
    if (validToMs <= nowMs)
      return [{ verdict: 'doubtful', text: `${about} expired on ${dateOf(validToMs)}` }];
    const text = `${about} is valid until ${dateOf(validToMs)}, for ${days} more days`;
    return [{ verdict: days >= daysWanted ? 'good' : 'doubtful', text }];
  } catch (error) {
    if (!(error instanceof CertificateError)) throw error;
    return [];
  }
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString();
}
