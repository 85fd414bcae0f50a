import type { Counted } from '../../../core/publish/throttle.ts';
import type { Credentials } from '../../../core/sessions/access.ts';

/** One Engine.IO session, as the protocol on top of it uses it. */
export interface EngineSession<Context> {
  readonly sid: string;
  /** What `open` or `restore` returned. */
  context: Context;
  /** The credentials of the handshake, and the connection of the last request. */
  shown: Credentials;
  readonly address: string | undefined;
  /** What the rates of all its namespaces are counted by. */
  readonly counted: Counted;
  readonly kind: 'polling' | 'websocket';
  readonly isOpen: boolean;
  /** The peer is authenticated: its messages may be as large as any. */
  trust(): void;
  /** Sends a message of text at the end of this turn, together with others. */
  sendText(data: string): void;
  /** Sends a binary message behind what was sent before. */
  sendBinary(data: Buffer): void;
  /** Over WebSocket: whole frames, which are shared and must not change. False: enough is unsent; `writable` will be called. */
  sendFrames(frames: Buffer): boolean;
  /** While polling: sends at the end of this turn if a poll waits. False: `writable` will be called. */
  sendEncoded(batches: readonly EncodedBatch[]): boolean;
  /** Reads no more until `resume`. A peer that polls is slowed by the answers to its POSTs. */
  pause(): void;
  resume(): void;
  /** Packets for this peer alone that wait for its next poll, as packets of a payload; without pings, which are of the moment. */
  readonly waitingPackets: readonly string[];
  /** Puts packets of a payload before everything else. */
  restoreWaiting(waiting: readonly string[]): void;
  /**
   * Resolves once the peer has everything that was sent, or the session is over. Over WebSocket a ping tells, behind
   * all that; while polling the next poll does, since its POSTs may be waiting for this.
   */
  confirmed(): Promise<void>;
  /** Takes back what `sender` has sent and no poll has fetched. True: there was something. */
  discard(sender: object): boolean;
  /** Ends the session: Close or the packet for it, with what was sent before. `code` is for WebSocket. */
  close(code?: number, reason?: string): void;
  /** The session is over and nothing more can be said. */
  end(how: 'left' | 'lost'): void;
}

/** What is spoken on top of Engine.IO. One object for all sockets, so that a connection costs no closures. */
export interface EngineHandlers<Context> {
  /** A poll or POST of a session came by another connection than the request before it. */
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
  /** `sendEncoded` or `sendFrames` had answered false; the peer takes bytes again. */
  writable(socket: EngineSession<Context>): void;
  /** Called once. `left`: the peer said goodbye on this layer, which is answered when the promise resolves. It must not reject. */
  closed(socket: EngineSession<Context>, how: 'left' | 'lost'): undefined | Promise<unknown>;
  /** The session moved from polling to WebSocket. */
  upgraded?(socket: EngineSession<Context>): void;
  /** Called before the answer to a poll leaves, with what is in it. The answer waits for the promise, and is a 503 if that rejects. */
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
  /** The most packets that it is while polling. */
  readonly packetsMax: number;
  /** It is in the answer to a poll that leaves next. */
  taken(): void;
}
