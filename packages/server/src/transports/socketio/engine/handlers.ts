import type { Counted } from '../../../core/publish/throttle.ts';
import type { Credentials } from '../../../core/sessions/access.ts';

/** One Engine.IO session, for the protocol on top of it. */
export interface EngineSession<Context> {
  readonly sid: string;
  /** The result of `open` or `restore`. */
  context: Context;
  /** The credentials of the handshake, and the connection of the last request. */
  shown: Credentials;
  readonly address: string | undefined;
  /** The key for the rates of all its namespaces. */
  readonly counted: Counted;
  readonly kind: 'polling' | 'websocket';
  readonly isOpen: boolean;
  /** The peer is authenticated: its messages may have the full size. */
  trust(): void;
  /** Sends a message of text at the end of this turn, together with others. */
  sendText(data: string): void;
  /** Sends a binary message after all earlier ones. */
  sendBinary(data: Buffer): void;
  /**
   * Over WebSocket: sends whole frames, which are shared and must not change. Returns false if enough is unsent;
   * `writable` will be called.
   */
  sendFrames(frames: Buffer): boolean;
  /** While polling: sends at the end of this turn if a poll waits. Returns false if `writable` will be called. */
  sendEncoded(batches: readonly EncodedBatch[]): boolean;
  /** Stops reading until `resume`. The answers to its POSTs slow down a peer that polls. */
  pause(): void;
  resume(): void;
  /**
   * Packets for this peer alone that wait for its next poll, in the form of a payload; without pings, which have no
   * meaning later.
   */
  readonly waitingPackets: readonly string[];
  /** Puts packets of a payload before everything else. */
  restoreWaiting(waiting: readonly string[]): void;
  /**
   * Resolves once the peer has everything that was sent, or the session is over. Over WebSocket a ping after the last
   * message shows it; while polling the next poll does, since its POSTs may wait for this.
   */
  confirmed(): Promise<void>;
  /** Discards the items of `sender` that no poll has fetched. Returns whether there were any. */
  discard(sender: object): boolean;
  /** Ends the session with a Close frame or packet, after the earlier messages. `code` is for WebSocket. */
  close(code?: number, reason?: string): void;
  /** Ends the session at once, without a further packet. */
  end(how: 'left' | 'lost'): void;
}

/** The protocol on top of Engine.IO. One object for all sockets, so that a connection costs no closures. */
export interface EngineHandlers<Context> {
  /** A poll or POST of a session used another connection than the request before it. */
  cameBy?(socket: EngineSession<Context>, connection: string): void;
  /** A session begins; the returned context belongs to it. */
  open(socket: EngineSession<Context>): Context;
  /** Called before an HTTP handshake is answered. The answer waits for the promise, and is a 503 if that rejects. */
  beforeHandshake?(socket: EngineSession<Context>): Promise<void>;
  /**
   * A message, in the order of sending. The answer `ok` to a POST waits for the promises of all its messages, so a peer
   * with that answer can rely on their effect. The bytes may be part of a larger chunk.
   */
  message(socket: EngineSession<Context>, data: string | Buffer): undefined | Promise<unknown>;
  /** All messages of a POST were handled. Its answer waits for the promise. */
  afterPost?(socket: EngineSession<Context>): undefined | Promise<void>;
  /** `sendEncoded` or `sendFrames` returned false before; the peer takes bytes again. */
  writable(socket: EngineSession<Context>): void;
  /**
   * Called once. `left`: the peer closed the session with a packet of Engine.IO; the answer to it waits for the
   * promise, which must not reject.
   */
  closed(socket: EngineSession<Context>, how: 'left' | 'lost'): undefined | Promise<unknown>;
  /** The session moved from polling to WebSocket. */
  upgraded?(socket: EngineSession<Context>): void;
  /**
   * Called before the answer to a poll leaves, with its content. The answer waits for the promise, and is a 503 if that
   * rejects.
   */
  beforeAnswer?(socket: EngineSession<Context>): undefined | Promise<void>;
  /**
   * An HTTP request named a session that this process does not know. Resolves with the context of the session, or with
   * `undefined` if there is no such session. `open` is not called.
   */
  restore?(socket: EngineSession<Context>): Promise<Context | undefined>;
}

/** Packets that are encoded once for many sockets. They must not change. */
export interface EncodedBatch {
  /** The only object that may discard it. */
  readonly sender: object;
  /** For WebSocket whole frames; for polling packets that each end in the separator. */
  bytes(kind: 'polling' | 'websocket'): Buffer;
  /** The largest number of its packets while polling. */
  readonly packetsMax: number;
  /** It is in the next answer to a poll. */
  taken(): void;
}
