/**
 * A connection that carries bytes, for protocols that are spoken over TCP and over WebSocket alike (MQTT, STOMP).
 * Its protocol sees one stream of bytes, however they were framed below [MQTT-6.0.0-2].
 */
export interface Link<Context> {
  /** What belongs to this connection: what `LinkOptions.open` returned. Not yet there while that runs. */
  readonly context: Context;
  readonly kind: 'tcp' | 'websocket';
  readonly address: string | undefined;
  /** Names the connection below it, for `Credentials`; `undefined` once that is gone. */
  readonly connection: string | undefined;
  /** The subject of its client certificate, for `Credentials`. */
  readonly certificate: string | undefined;
  /** The query of its WebSocket handshake, for `Credentials`. */
  readonly ticket: string | undefined;
  /** The WebSocket subprotocol that was agreed on. */
  readonly protocol: string | undefined;
  readonly isOpen: boolean;
  /** Bytes handed over that the peer's machine has not taken, and answers of this turn. */
  readonly unsentBytes: number;
  /**
   * Writes bytes that are ready for this kind of link, for WebSocket whole frames; they may be shared and must not
   * change. False: enough is unsent; `onDrain` tells when to resume. On a link that is not open nothing happens.
   */
  send(ready: Buffer): boolean;
  /**
   * Sends bytes for this peer only, such as an acknowledgement, at the end of this turn together with others; a
   * WebSocket link makes one message of each. While too much is unsent, nothing is read; a peer with more than
   * `outboundBytesMax` unsent is cut, so the answer to one chunk must be smaller than that.
   */
  answer(bytes: Buffer): void;
  /** Reads no more until `resume`, for a peer that has enough under way. */
  pause(): void;
  resume(): void;
  /**
   * The peer has `delayMs` from now until `onDeadline`; `undefined`: as long as it likes. A link has one deadline, and
   * moving it costs next to nothing, so it may be moved with everything the peer sends.
   */
  deadline(delayMs: number | undefined): void;
  /** The peer is authenticated: from now on its WebSocket messages may be as large as the protocol's. */
  trust(): void;
  /** Sends what was answered and says goodbye; cut after `closeTimeoutMs`. `code` is for WebSocket (RFC 6455 §7.4). */
  end(code?: number, reason?: string): void;
  /** Cuts the connection without a word. */
  destroy(): void;
}

/** The handlers of a protocol for its links. One object for all of them, so that a connection costs no closures. */
export interface LinkHandlers<Context> {
  /** Received bytes, in chunks of any size. They may be part of a larger buffer: copy bytes that are kept for long. */
  onData(link: Link<Context>, bytes: Buffer): void;
  /** `send` had answered false; the peer takes bytes again. */
  onDrain(link: Link<Context>): void;
  /**
   * Called once, when nothing more can be sent to the peer. `left`: it, or we, said goodbye on this layer. Not called
   * for a link that was refused.
   */
  onClose(link: Link<Context>, how: 'left' | 'lost'): void;
  /**
   * The peer of a TCP link sends nothing more. Calls `end` once everything that came before is answered, which ends the
   * link; after `closeTimeoutMs` it ends anyway. Absent: the link ends at once.
   */
  onPeerEnd?(link: Link<Context>, end: () => void): void;
  /** The link's deadline is over. Absent: the link is destroyed. */
  onDeadline?(link: Link<Context>): void;
}

/**
 * Makes what belongs to a new link; its bytes are handled after this has returned. `undefined` refuses it: the
 * connection ends, and no handler hears of it.
 */
export type OpenLink<Context> = (link: Link<Context>) => Context | undefined;

/** The links of one listener or path, for draining. */
export interface OpenLinks<Context> {
  /** Connections whose sockets are still open. */
  readonly size: number;
  [Symbol.iterator](): Iterator<Link<Context>>;
  /** Resolves when no socket is open any more. */
  emptied(): Promise<void>;
}
