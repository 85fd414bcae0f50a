import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectSecure } from 'node:tls';
import { Cut, Unreachable } from './errors.ts';
import { Tap } from './tap.ts';
import { placeOf, type Target } from './target.ts';
import { explainTls } from './tls.ts';

/** `fin`: ends without a goodbye. `rst`: resets. `stall`: neither reads nor writes, and says nothing. */
export type CutKind = 'fin' | 'rst' | 'stall';

/** How long a connection may take. */
const connectWithinMs = 30_000;

interface Opened {
  readonly raw: Socket;
  readonly tap: Tap;
}

/** Opens the sockets of one probe, counts their bytes, and stops or breaks all of them. */
export class Sockets {
  readonly #target: Target;
  readonly #open = new Set<Opened>();
  #isPaused = false;
  #isStalled = false;
  #closedBecause: Error | undefined;
  #connections = 0;
  #bytesReadBefore = 0;
  #bytesWrittenBefore = 0;

  constructor(target: Target) {
    this.#target = target;
  }

  /** The number of connections that were made. */
  get connections(): number {
    return this.#connections;
  }

  /** The bytes of all connections, with headers and framing; with TLS, the encrypted bytes. */
  get bytesRead(): number {
    return [...this.#open].reduce((sum, { raw }) => sum + raw.bytesRead, this.#bytesReadBefore);
  }

  get bytesWritten(): number {
    return [...this.#open].reduce((sum, { raw }) => sum + raw.bytesWritten, this.#bytesWrittenBefore);
  }

  /** Connects, by TLS where the target is secure, and resolves once that is done. @throws Unreachable, Cut */
  async connect(alpnProtocols?: readonly string[]): Promise<Tap> {
    if (this.#closedBecause !== undefined) throw this.#closedBecause;
    const { port, isSecure, certificate } = this.#target;
    const host = this.#target.host.replace(/^\[|\]$/g, '');
    const raw = connectPlain({ host, port, noDelay: true });
    const socket = isSecure
      ? connectSecure({
          socket: raw,
          host,
          // SNI needs a name, not an IP address (RFC 6066 §3).
          ...(isIP(host) === 0 ? { servername: host } : {}),
          ...(alpnProtocols === undefined ? {} : { ALPNProtocols: [...alpnProtocols] }),
          ...certificate,
        })
      : raw;
    const tap = new Tap(socket);
    const opened = { raw, tap };
    this.#open.add(opened);
    raw.once('close', () => this.#forget(opened));
    tap.expectBytesWithin(connectWithinMs);
    await new Promise<void>((resolve, reject) => {
      tap.once('error', (cause: NodeJS.ErrnoException) => {
        const reason = explainTls(cause) ?? cause.code ?? cause.message;
        reject(new Unreachable(`${placeOf(this.#target)} cannot be reached (${reason})`, { cause }));
      });
      tap.once('close', () => reject(new Cut('the server closed the connection')));
      socket.once(isSecure ? 'secureConnect' : 'connect', resolve);
    });
    // An error without a listener would end the process; each reader sees it as the end of the stream.
    tap.on('error', () => undefined);
    tap.expectBytesWithin(undefined);
    if (this.#isPaused) tap.stopReading();
    if (this.#isStalled) tap.stall();
    this.#connections += 1;
    return tap;
  }

  pause(): void {
    this.#isPaused = true;
    for (const { tap } of this.#open) tap.stopReading();
  }

  resume(): void {
    this.#isPaused = false;
    for (const { tap } of this.#open) tap.resumeReading();
  }

  /** Breaks the open connections. After a stall, new connections stall too, until they are cut. */
  cut(how: CutKind): void {
    this.#isStalled = how === 'stall';
    for (const { raw, tap } of this.#open) {
      if (how === 'stall') {
        tap.stall();
        continue;
      }
      if (how === 'rst') raw.resetAndDestroy();
      else raw.destroySoon();
      tap.abandon(new Cut('the connection was cut by this side'));
    }
  }

  /** Ends everything, for good. */
  close(reason: Error): void {
    this.#closedBecause ??= reason;
    for (const { tap } of this.#open) tap.destroy(this.#closedBecause);
  }

  #forget(opened: Opened): void {
    if (!this.#open.delete(opened)) return;
    this.#bytesReadBefore += opened.raw.bytesRead;
    this.#bytesWrittenBefore += opened.raw.bytesWritten;
  }
}
