/**
 * A connection that carries bytes, for protocols over TCP and over WebSocket (MQTT, STOMP). The protocol sees one
 * stream of bytes, for any framing below it [MQTT-6.0.0-2].
 */
export interface Link<Context> {
  /** The context of this connection, the result of `LinkOptions.open`. Absent while that function runs. */
  readonly context: Context;
  readonly kind: 'tcp' | 'websocket';
  readonly address: string | undefined;
  /** The name of the connection below it, for `Credentials`; `undefined` once that is gone. */
  readonly connection: string | undefined;
  /** The subject of its client certificate, for `Credentials`. */
  readonly certificate: string | undefined;
  /** The query of its WebSocket handshake, for `Credentials`. */
  readonly ticket: string | undefined;
  /** The agreed WebSocket subprotocol. */
  readonly protocol: string | undefined;
  readonly isOpen: boolean;
  /** Written bytes that the peer's machine has not taken, and the answers of this turn. */
  readonly unsentBytes: number;
  /**
   * Writes bytes that are ready for this kind of link, whole frames for WebSocket. They may be shared and must not
   * change. Returns false if enough is unsent; `onDrain` then reports when to resume. On a closed link it does nothing.
   */
  send(ready: Buffer): boolean;
  /**
   * Sends bytes for this peer only, such as an acknowledgement, at the end of this turn together with others; a
   * WebSocket link makes one message of each. While too much is unsent, the link reads nothing. It cuts a peer with
   * more than `outboundBytesMax` unsent, so the answer to one chunk must be smaller than that.
   */
  answer(bytes: Buffer): void;
  /** Stops reading until `resume`, for a peer with enough commands in progress. */
  pause(): void;
  resume(): void;
  /**
   * Calls `onDeadline` after `delayMs`; `undefined`: never. A link has one deadline. To move it costs almost nothing,
   * so it may move with every input of the peer.
   */
  deadline(delayMs: number | undefined): void;
  /** The peer is authenticated: from now on its WebSocket messages may have the full size of the protocol. */
  trust(): void;
  /** Sends the waiting answers and closes; cut after `closeTimeoutMs`. `code` is for WebSocket (RFC 6455 §7.4). */
  end(code?: number, reason?: string): void;
  /** Cuts the connection at once. */
  destroy(): void;
}

/** The handlers of a protocol for its links. One object for all of them, so that a connection costs no closures. */
export interface LinkHandlers<Context> {
  /** Received bytes, in chunks of any size. They may be part of a larger buffer: copy bytes that are kept for long. */
  onData(link: Link<Context>, bytes: Buffer): void;
  /** `send` returned false before; the peer takes bytes again. */
  onDrain(link: Link<Context>): void;
  /**
   * Called once, when nothing more can be sent to the peer. `left`: one side closed it in the way of the protocol
   * below. Not called for a refused link.
   */
  onClose(link: Link<Context>, how: 'left' | 'lost'): void;
  /**
   * The peer of a TCP link sends nothing more. Calls `end` once everything that came before is answered, which ends the
   * link; after `closeTimeoutMs` it ends anyway. Absent: the link ends at once.
   */
  onPeerEnd?(link: Link<Context>, end: () => void): void;
  /** The deadline has passed. Absent: the link is destroyed. */
  onDeadline?(link: Link<Context>): void;
}

/**
 * Makes the context of a new link; the link handles bytes after this has returned. `undefined` refuses the link: the
 * connection ends, and no handler is called for it.
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
