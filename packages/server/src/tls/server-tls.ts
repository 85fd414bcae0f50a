import { constants } from 'node:crypto';
import type { Server as TlsServer, TLSSocket, TlsOptions } from 'node:tls';
import type { Clock } from '../core/clock.ts';
import type { Limits } from '../core/limits.ts';
import type { Log } from '../core/seams/log.ts';
import { setCertificate, type TlsEnd, type TlsListenerAbout } from '../net/tls-end.ts';
import { loadCertificate, type LoadedCertificate } from './certificate.ts';
import { FileWatch } from './file-watch.ts';
import { Handshakes } from './handshakes.ts';
import { intercept } from './intercept.ts';
import { ThrottledLog } from '../core/throttled-log.ts';
import type { TlsSettings } from './settings.ts';
import { subjectOf } from './subject.ts';

export interface ServerTlsOptions {
  readonly settings: TlsSettings;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly log: Log;
  /** How often the files are checked. Default 2 s; a change takes effect at the second check. */
  readonly lookEveryMs?: number | undefined;
}

const lookEveryMsDefault = 2_000;
const dayMs = 24 * 3_600_000;
/** Renewals commonly happen 30 days before the end, so something is wrong when this few are left. */
const warnBeforeMs = 14 * dayMs;

/** TLS for all listeners: one certificate, watched while the server runs. */
export class ServerTls implements TlsEnd {
  readonly #options: ServerTlsOptions;
  readonly #servers = new Set<TlsServer>();
  readonly #watch: FileWatch;
  readonly #refusals: ThrottledLog;
  #loaded: LoadedCertificate;

  private constructor(options: ServerTlsOptions, loaded: LoadedCertificate) {
    const { settings, clock, log } = options;
    this.#options = options;
    this.#loaded = loaded;
    this.#refusals = new ThrottledLog(clock, log);
    const { cert, key, clientCa } = settings;
    this.#watch = new FileWatch({
      paths: [cert, key, ...(clientCa === undefined ? [] : [clientCa])],
      clock,
      everyMs: options.lookEveryMs ?? lookEveryMsDefault,
      onChange: () => this.#renew(),
    });
  }

  /** Reads the files, and watches them from here on. @throws CertificateError */
  static async load(options: ServerTlsOptions): Promise<ServerTls> {
    const loaded = await loadCertificate(options.settings);
    const tls = new ServerTls(options, loaded);
    tls.#tell();
    await tls.#watch.start();
    return tls;
  }

  get options(): TlsOptions {
    const { settings, limits } = this.#options;
    const asksForCertificate = settings.clientCertificates !== 'none';
    return {
      ...this.#context(),
      handshakeTimeout: limits.handshakeTimeoutMs,
      requestCert: asksForCertificate,
      // The server checks certificates itself: Node would also refuse a client without a certificate, and would accept
      // a resumed session without one as authorised.
      rejectUnauthorized: false,
    };
  }

  attach(server: TlsServer, { name, answerPlain }: TlsListenerAbout): void {
    const { clock, limits } = this.#options;
    const handshakes = new Handshakes(clock, limits.handshakeTimeoutMs);
    this.#servers.add(server);
    server.setSecureContext(this.#context());
    intercept(server, 'connection', (socket, proceed) => {
      handshakes.begin(socket, {
        proceed,
        plain: () => {
          this.#refusals.info(
            { name, address: socket.remoteAddress },
            'a peer speaks plain text to a TLS port',
          );
          if (answerPlain === undefined) socket.destroy();
          else answerPlain(socket);
        },
      });
    });
    intercept(server, 'secureConnection', (socket, proceed) => {
      handshakes.done(socket);
      const refusal = this.#judge(socket);
      if (refusal === undefined) {
        proceed();
        return;
      }
      this.#refusals.info(
        { name, address: socket.remoteAddress, reason: refusal },
        'a client certificate was refused',
      );
      socket.on('error', () => undefined);
      socket.destroy();
    });
    // HTTP's own listener would write an answer into a connection without TLS.
    server.removeAllListeners('tlsClientError');
    server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
      socket.destroy();
      const reason = error.code ?? error.message;
      // A peer that connects and leaves is a port scan or a load balancer.
      if (reason === 'ECONNRESET') return;
      this.#refusals.info({ name, reason }, 'a TLS handshake failed');
    });
    server.on('close', () => this.#servers.delete(server));
    // A closing server waits for all its connections, and no other code would end those without an owner.
    const close = server.close.bind(server);
    server.close = (done) => {
      handshakes.destroyAll();
      return close(done);
    };
  }

  /** Reads the files again. If the pair is unusable, the old one stays, and the log gets an error. */
  async reload(): Promise<void> {
    await this.#watch.refresh();
    await this.#renew();
  }

  stop(): void {
    this.#watch.stop();
  }

  async #renew(): Promise<void> {
    const { log, settings } = this.#options;
    try {
      this.#loaded = await loadCertificate(settings);
      for (const server of this.#servers) server.setSecureContext(this.#context());
    } catch (cause) {
      log.error(
        { reason: (cause as Error).message },
        'the TLS certificate was not renewed; the old one stays',
      );
      return;
    }
    this.#tell();
  }

  #context(): TlsOptions {
    const { settings } = this.#options;
    return {
      ...this.#loaded.context,
      minVersion: settings.minVersion,
      secureOptions:
        // A peer that asks for it again and again would cost a handshake each time (CVE-2011-1473).
        constants.SSL_OP_NO_RENEGOTIATION |
        // A session ticket would keep the result of an earlier certificate check, also after the certificate has
        // expired or its authority was removed.
        (settings.clientCertificates === 'none' ? 0 : constants.SSL_OP_NO_TICKET),
    };
  }

  /** The reason to refuse the connection; stores the subject of its certificate. */
  #judge(socket: TLSSocket): string | undefined {
    const { settings, clock } = this.#options;
    if (settings.clientCertificates === 'none') return undefined;
    try {
      const certificate = socket.getPeerCertificate();
      // Node returns an empty object if there is no certificate.
      if (Object.keys(certificate).length === 0)
        return settings.clientCertificates === 'require' ? 'none was shown' : undefined;
      if (!socket.authorized) return String(socket.authorizationError);
      if (Date.parse(certificate.valid_to) < clock.nowMs()) return 'CERT_HAS_EXPIRED';
      setCertificate(socket, subjectOf(certificate, settings.subjectFrom));
      return undefined;
    } catch (cause) {
      return (cause as Error).message;
    }
  }

  #tell(): void {
    const { log, clock, settings } = this.#options;
    const { names, validFromMs, validToMs, fingerprint } = this.#loaded;
    const leftMs = validToMs - clock.nowMs();
    const fields = {
      file: settings.cert,
      names,
      validTo: new Date(validToMs).toISOString(),
      days: Math.floor(leftMs / dayMs),
      fingerprint,
    };
    log.info(fields, 'TLS certificate loaded');
    if (leftMs <= 0) log.warn(fields, 'the TLS certificate has expired');
    else if (leftMs < warnBeforeMs) log.warn(fields, 'the TLS certificate expires soon');
    if (validFromMs > clock.nowMs()) log.warn(fields, 'the TLS certificate is not valid yet');
  }
}
