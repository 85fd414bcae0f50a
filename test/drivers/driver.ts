import type { Continuity, GapNotice } from '@everywire/protocol';

/** How the suites speak to one transport, over real sockets and without a line of the server's code. */
export interface TransportDriver {
  readonly name: string;
  /** Begins to read; resolves once the server has answered. Rejects with `Refused` when it said no. */
  read(server: Addresses, filter: string, from?: From): Promise<Reader>;
  /** What a delivery has no place for; absent: it has one for everything. */
  readonly untoldToReaders?: Untold;
  /** Publishes over this transport itself. Absent where it carries nothing upward. */
  readonly publish?: (server: Addresses, channel: string, message: Outgoing) => Promise<Answer>;
  /** What a publisher cannot say, or is not told in the answer. */
  readonly untoldByPublishers?: Untold;
}

/** Where a server can be reached; a listener that is off has no address. */
export interface Addresses {
  /** `http://host:port` */
  readonly url: string;
  readonly mqtt: string | undefined;
  readonly stomp: string | undefined;
  /** `host:port` */
  readonly grpc: string | undefined;
}

/** What a protocol has no place for. The suites compare everything else. */
export interface Untold {
  readonly reason: string;
  readonly fields: readonly ('cursor' | 'offset' | 'type' | 'headers')[];
}

export interface From {
  readonly after?: string;
  readonly since?: string;
}

export interface Outgoing {
  readonly payload: Buffer;
  readonly type: string;
  readonly event?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly key?: string;
}

/** What a field is where the driver's `untold` names it. */
export const untold = { offset: -1, cursor: '' } as const;

export interface Answer {
  readonly offset: number;
  readonly cursor: string;
  readonly duplicate?: boolean;
}

export interface Received {
  readonly channel: string;
  readonly offset: number;
  readonly cursor: string;
  readonly payload: Buffer;
  readonly type: string;
  readonly event?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export interface Reader {
  readonly continuity: Continuity;
  readonly gap: GapNotice | undefined;
  /** Where this reader stands: what a client would come back with. */
  readonly cursor: string;
  /** The next message. Rejects once the server ended the connection. */
  next(): Promise<Received>;
  /** Stops taking bytes from the socket, and goes on. Absent where every request stands alone. */
  readonly pause?: () => void;
  readonly resume?: () => void;
  /** Ends the connection as a polite client would (FIN). */
  close(): void;
  /** Breaks it (RST). */
  cut(): void;
  /** Resolves when the server ends it, with what it said. */
  readonly goodbye: Promise<string>;
}

/** The server said no, in the transport's own terms; `code` is the row of the error table. */
export class Refused extends Error {
  readonly code: string;
  readonly status: number;

  constructor(status: number, code: string) {
    super(`${status} ${code}`);
    this.status = status;
    this.code = code;
  }
}
