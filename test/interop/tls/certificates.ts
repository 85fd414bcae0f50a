import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Paths of a certificate and its key, PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

export interface Wanted {
  readonly commonName: string;
  /** As openssl writes them: `DNS:localhost,IP:127.0.0.1`. */
  readonly names?: string;
  readonly days?: number;
  /** Over before it began to be tested. */
  readonly isExpired?: boolean;
}

/** A certificate authority of one test, in a temporary folder that the test removes. */
export class TestAuthority {
  readonly folder = mkdtempSync(join(tmpdir(), 'everywire-tls-'));
  /** For clients to trust. */
  readonly ca: string;
  readonly #own: Pair;
  #count = 0;

  constructor(name = 'Test Authority') {
    this.#own = this.#pairOf('ca');
    this.ca = this.#own.cert;
    openssl(
      ...[
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-days',
        '2',
      ],
      ...['-subj', `/CN=${name}`, '-keyout', this.#own.key, '-out', this.#own.cert],
    );
  }

  issue({ commonName, names, days = 30, isExpired = false }: Wanted): Pair {
    this.#count += 1;
    const pair = this.#pairOf(`issued-${this.#count}`);
    const request = join(this.folder, `issued-${this.#count}.csr`);
    openssl(
      ...['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-subj', `/CN=${commonName}`, '-keyout', pair.key, '-out', request],
    );
    const extensions = join(this.folder, `issued-${this.#count}.ext`);
    writeFileSync(extensions, names === undefined ? '' : `subjectAltName=${names}\n`);
    openssl(
      ...['x509', '-req', '-in', request, '-CA', this.#own.cert, '-CAkey', this.#own.key],
      ...['-set_serial', String(Date.now() * 100 + this.#count), '-extfile', extensions],
      ...['-days', isExpired ? '-1' : String(days), '-out', pair.cert],
    );
    return pair;
  }

  /** A server's own, for loopback. */
  issueForLoopback(days?: number): Pair {
    const names = 'DNS:localhost,IP:127.0.0.1';
    return this.issue({ commonName: 'localhost', names, ...(days === undefined ? {} : { days }) });
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #pairOf(name: string): Pair {
    return { cert: join(this.folder, `${name}.pem`), key: join(this.folder, `${name}.key`) };
  }
}

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
