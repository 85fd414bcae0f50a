import type { EngineSocket } from './engine-socket.ts';

/** What is spoken on top of Engine.IO. One object for all sockets, so that a connection costs no closures. */
export interface EngineHandlers<Context> {
  /** A poll or POST of a session came by another connection than the request before it. */
  cameBy?(socket: EngineSocket<Context>, connection: string): void;
  /** A session begins; what is returned belongs to it. */
  open(socket: EngineSocket<Context>): Context;
  /** Called before an HTTP handshake is answered. The answer waits for the promise, and is a 503 if that rejects. */
  beforeHandshake?(socket: EngineSocket<Context>): Promise<void>;
  /**
   * A message, in the order of sending. What a POST brought is answered when all promises of it have resolved: whoever
   * was told `ok` need not fear that the server forgets it. The bytes may be part of a larger chunk.
   */
  message(socket: EngineSocket<Context>, data: string | Buffer): undefined | Promise<unknown>;
  /** What a POST brought was handled. Its answer waits for the promise. */
  afterPost?(socket: EngineSocket<Context>): undefined | Promise<void>;
  /** `sendEncoded` or `sendFrames` had answered false; the peer takes bytes again. */
  writable(socket: EngineSocket<Context>): void;
  /** Called once. `left`: the peer said goodbye on this layer, which is answered when the promise resolves. It must not reject. */
  closed(socket: EngineSocket<Context>, how: 'left' | 'lost'): undefined | Promise<unknown>;
  /** The session moved from polling to WebSocket. */
  upgraded?(socket: EngineSocket<Context>): void;
  /** Called before the answer to a poll leaves, with what is in it. The answer waits for the promise, and is a 503 if that rejects. */
  beforeAnswer?(socket: EngineSocket<Context>): undefined | Promise<void>;
  /**
   * A session that this process does not know was asked for by HTTP. What is resolved with belongs to it; `undefined`:
   * there is none. `open` is not called.
   */
  restore?(socket: EngineSocket<Context>): Promise<Context | undefined>;
}

/** Packets that are encoded once for many sockets. They must not change. */
export interface EncodedBatch {
  /** Who may take it back. */
  readonly sender: object;
  /** For WebSocket whole frames; for polling packets that each end in the separator. */
  bytes(kind: 'polling' | 'websocket'): Buffer;
}
