import type { Socket } from 'node:net';
import type { Timer } from '../core/clock.ts';
import type { Deadline } from '../core/deadlines.ts';
import { listeningOf, Outbound } from './outbound.ts';
import { answersFlushedFrom, joinAnswers } from './answers.ts';
import { connectionKey } from './guard.ts';
import { LinkGroup, type GroupedLink } from './link-group.ts';
import { certificateOf } from './tls-end.ts';

/** `closing`: our end is sent, and the link waits for the peer's end. `over`: it sends and reads nothing more. */
type Stage = 'open' | 'closing' | 'over';

const linkOfSocket = Symbol('TcpLink');

interface LinkSocket extends Socket {
  [linkOfSocket]: TcpLink<unknown>;
}

/** The links of one listener. */
export class TcpLinkGroup<Context> extends LinkGroup<Context> {
  readonly #links = new Set<TcpLink<Context>>();
  readonly #emptied: (() => void)[] = [];

  /** Connections whose sockets are still open. */
  get size(): number {
    return this.#links.size;
  }

  [Symbol.iterator](): Iterator<TcpLink<Context>> {
    return this.#links.values();
  }

  /** Resolves when no socket is open any more. */
  async emptied(): Promise<void> {
    if (this.size > 0) await new Promise<void>((resolve) => this.#emptied.push(resolve));
  }

  add(link: TcpLink<Context>): void {
    this.#links.add(link);
  }

  remove(link: TcpLink<Context>): void {
    if (!this.#links.delete(link) || this.size > 0) return;
    for (const resolve of this.#emptied.splice(0)) resolve();
  }
}

/** One TCP connection: bytes in, bytes out, deadlines, close, and back-pressure as in `websocket/peer.ts`. */
export class TcpLink<Context> implements GroupedLink<Context> {
  readonly kind = 'tcp';
  readonly ticket = undefined;
  readonly protocol = undefined;
  readonly #socket: Socket;
  readonly #group: TcpLinkGroup<Context>;
  #context: Context | undefined;
  #stage: Stage = 'open';
  #answers: Buffer[] | undefined;
  #answerBytes = 0;
  /** Made when it first has too much unsent. */
  #outbound: Outbound | undefined;
  #isPaused = false;
  #hasPeerEnded = false;
  #deadline: Deadline | undefined;
  #cutTimer: Timer | undefined;

  private constructor(socket: Socket, group: TcpLinkGroup<Context>) {
    this.#socket = socket;
    this.#group = group;
  }

  /** Takes over a socket with `allowHalfOpen`, in the turn in which it was accepted. */
  static accept<Context>(socket: Socket, group: TcpLinkGroup<Context>): void {
    const link = new TcpLink(socket, group);
    (socket as LinkSocket)[linkOfSocket] = link as unknown as TcpLink<unknown>;
    socket.on('error', TcpLink.#onError);
    const context = group.open(link);
    if (context === undefined || socket.destroyed) {
      link.#stage = 'over';
      link.#deadline?.cancel();
      socket.destroy();
      return;
    }
    link.#context = context;
    group.add(link);
    socket.on('data', TcpLink.#onData);
    socket.on('drain', TcpLink.#onDrain);
    socket.on('end', TcpLink.#onEnd);
    socket.on('close', TcpLink.#onClose);
  }

  get context(): Context {
    return this.#context!;
  }

  get address(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get connection(): string | undefined {
    return connectionKey(this.#socket);
  }

  get certificate(): string | undefined {
    return certificateOf(this.#socket);
  }

  get isOpen(): boolean {
    return this.#stage === 'open';
  }

  get unsentBytes(): number {
    return this.#socket.writableLength + this.#answerBytes;
  }

  send(ready: Buffer): boolean {
    if (this.#stage !== 'open') return true;
    this.flush();
    this.#socket.write(ready);
    if (this.#socket.writableLength <= this.#group.limits.outboundHeldFromBytes) return true;
    this.#outboundOf().hold(ready.length);
    return false;
  }

  answer(bytes: Buffer): void {
    if (this.#stage !== 'open') return;
    if (this.#answers === undefined) {
      this.#answers = [bytes];
      this.#group.flushSoon(this);
    } else {
      this.#answers.push(bytes);
    }
    this.#answerBytes += bytes.length;
    if (this.#answerBytes >= answersFlushedFrom) this.flush();
  }

  flush(): void {
    const answers = this.#answers;
    if (answers === undefined) return;
    const joined = joinAnswers(answers, this.#answerBytes);
    this.#answers = undefined;
    this.#answerBytes = 0;
    if (this.#stage !== 'open') return;
    this.#socket.write(joined);
    const { writableLength } = this.#socket;
    const listening = listeningOf(writableLength, this.#group.limits, this.#outbound?.deliveredBytes);
    if (listening === 'deaf') this.destroy();
    if (listening !== 'slow') return;
    this.#socket.pause();
    this.#outboundOf().stall();
  }

  pause(): void {
    if (this.#stage !== 'open' || this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#readOn();
    // The protocol may still have to handle bytes from before the end, and may pause again for them.
    if (this.#hasPeerEnded) process.nextTick(() => this.#endWithPeer());
  }

  deadline(delayMs: number | undefined): void {
    if (delayMs === undefined) this.#deadline?.cancel();
    else if (this.#stage !== 'open') return;
    else if (this.#deadline === undefined) this.#deadline = this.#group.deadlines.start(this, delayMs);
    else this.#deadline.restart(delayMs);
  }

  trust(): void {
    // The protocol limits the bytes before that: this link passes bytes on at once.
  }

  end(): void {
    if (this.#stage !== 'open') return;
    this.flush();
    if (!this.isOpen) return;
    this.#socket.end();
    this.#leave('left', 'closing');
    this.#cutLater();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#leave('lost');
  }

  static readonly #onData = function (this: Socket, chunk: Buffer): void {
    const link = (this as LinkSocket)[linkOfSocket];
    if (link.#stage === 'open') link.#group.hand(link, chunk);
  };

  static readonly #onDrain = function (this: Socket): void {
    (this as LinkSocket)[linkOfSocket].#outbound?.drained();
  };

  /** The peer closed its half, and may wait for answers to what it sent before. */
  static readonly #onEnd = function (this: Socket): void {
    const link = (this as LinkSocket)[linkOfSocket];
    link.#hasPeerEnded = true;
    link.#endWithPeer();
  };

  static readonly #onError = function (this: Socket, error: Error): void {
    const link = (this as LinkSocket)[linkOfSocket];
    link.#group.log.debug({ err: error }, 'a TCP connection broke');
  };

  static readonly #onClose = function (this: Socket): void {
    const link = (this as LinkSocket)[linkOfSocket];
    link.#leave('lost');
    link.#cutTimer?.cancel();
    link.#group.remove(link);
  };

  /** Node reports the end of a paused socket too. The input that the protocol has put off comes before the end. */
  #endWithPeer(): void {
    if (this.#isPaused || this.#stage !== 'open') return;
    // A peer that is gone looks the same.
    this.#cutLater();
    const end = (): void => {
      this.end();
      this.#stage = 'over';
    };
    const { handlers } = this.#group;
    if (handlers.onPeerEnd === undefined) end();
    else handlers.onPeerEnd(this, end);
  }

  #readOn(): void {
    const isStalled = this.#outbound?.isStalled === true;
    if (!isStalled && !this.#isPaused && this.#socket.isPaused()) this.#socket.resume();
  }

  #outboundOf(): Outbound {
    const { limits, handlers } = this.#group;
    return (this.#outbound ??= new Outbound(this.#socket, limits.outboundHeldFromBytes, {
      continueDelivery: () => handlers.onDrain(this),
      continueReading: () => this.#readOn(),
    }));
  }

  #leave(how: 'left' | 'lost', stage: Stage = 'over'): void {
    const wasOpen = this.#stage === 'open';
    this.#stage = stage;
    this.#answers = undefined;
    this.#answerBytes = 0;
    this.#outbound?.end();
    this.#isPaused = false;
    this.#deadline?.cancel();
    if (wasOpen) this.#group.handlers.onClose(this, how);
    // Discards further input, so that the end of the connection arrives.
    this.#socket.resume();
  }

  #cutLater(): void {
    this.#cutTimer ??= this.#group.clock.after(this.#group.limits.closeTimeoutMs, () =>
      this.#socket.destroy(),
    );
  }
}
