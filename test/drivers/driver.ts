import type { Continuity, GapNotice } from '@everywire/protocol';

/** How the suites speak to one transport, over real sockets and without a line of the server's code. */
export interface TransportDriver {
  readonly name: string;
  /** The server's name for the transport. */
  readonly transport: string;
  /** Begins to read; resolves once the server has answered. Rejects with `Refused` when it said no. */
  read(server: Addresses, filter: string, from?: From): Promise<Reader>;
  /** Reads several filters by one connection, which must be refused as a whole or not at all. */
  readonly readSeveral: Has<
    (server: Addresses, filters: readonly string[]) => Promise<Pick<Reader, 'close'>>
  >;
  /** Reads with what is retained first. */
  readonly readRetained: Has<(server: Addresses, filter: string) => Promise<Reader>>;
  /** Reads so that a new token can be shown meanwhile. */
  readonly readRefreshably: Has<
    (server: Addresses, filter: string, from?: From) => Promise<RefreshableReader>
  >;
  /** Reads so that a message is done with only when the client has acknowledged it. */
  readonly readAcknowledging: Has<(server: Addresses, filter: string) => Promise<AcknowledgingReader>>;
  /** Reads as a client whose place the server keeps while it is away. */
  readonly readDurably: Has<(server: Addresses, filter: string) => Promise<DurableReader>>;
  /** Reads and publishes by one connection. */
  readonly readAndPublish: Has<(server: Addresses, filter: string) => Promise<PublishingReader>>;
  /** The same, and what the connection publishes does not come back to it. */
  readonly readOthers: Has<(server: Addresses, filter: string) => Promise<PublishingReader>>;
  /** Absent: a reader of `$share/<group>/<filter>` is a member of the group from its beginning to its end. */
  readonly readShared?: Lacks;
  /** What a delivery has no place for; absent: it has one for everything. */
  readonly untoldToReaders?: Untold;
  /** A connection to publish by, over this transport itself. */
  readonly connect: Has<(server: Addresses) => Promise<Publisher>>;
  /** Publishes over a new connection. Absent where `connect` lacks. */
  readonly publish?: (server: Addresses, channel: string, message: Outgoing) => Promise<Answer>;
  /** Fields that a publisher cannot send, or does not get in the answer. */
  readonly untoldByPublishers?: Untold;
  /** What refusing a message does to the connection that it came by. */
  readonly refusedPublisher: 'stays' | 'is closed';
  /** What happens to a message that is too large, where it is not refused. */
  readonly publishedTooLarge?: Exception<'is dropped'>;
  /** What happens to a message that comes too fast, where that is something else. */
  readonly publishedTooFast?: Exception<'is delayed'>;
  /** A refusal of this transport has no room for the code; this is what it is seen as. */
  readonly codeOfRefusals?: Exception<RegExp>;
  /** What a reader's `goodbye` says when its token has ended. */
  readonly goodbyeOfToken: RegExp;
  /** Names that the library at the client's end does not even send. */
  readonly unsent?: Exception<RegExp>;
}

/** What every transport has; one that has not gives the reason. */
export type Has<T> = T | Lacks;

export interface Lacks {
  readonly lacks: string;
}

export interface Exception<T> {
  readonly reason: string;
  readonly is: T;
}

export function has<T extends object>(given: Has<T>): given is T {
  return !('lacks' in given);
}

export interface Publisher {
  readonly publish: (channel: string, message: Outgoing) => Promise<Answer>;
  /** The server has not ended it. Where every request is independent, the server never does. */
  readonly isOpen: boolean;
  close(): void;
}

/** `TransportDriver.publish` of a driver that has `connect`. */
export function publishOver(
  connect: (server: Addresses) => Promise<Publisher>,
): NonNullable<TransportDriver['publish']> {
  return async (server, channel, message) => {
    const publisher = await connect(server);
    try {
      return await publisher.publish(channel, message);
    } finally {
      publisher.close();
    }
  };
}

/** Where a server can be reached; a listener that is off has no address. */
export interface Addresses {
  /** `http://host:port` */
  readonly url: string;
  readonly mqtt: string | undefined;
  readonly stomp: string | undefined;
  /** `host:port` */
  readonly grpc: string | undefined;
  /** Shown at each handshake, in the transport's own way. */
  readonly token?: string | undefined;
  /** An administrator's, by which a driver looks at what the peer itself cannot see. */
  readonly adminToken?: string | undefined;
}

export function bearer({ token }: Addresses): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` };
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
  /** Marked as one that was delivered before. Only where the reader acknowledges or is durable. */
  readonly isRepeated?: boolean | undefined;
}

export interface Reader {
  readonly continuity: Continuity;
  readonly gap: GapNotice | undefined;
  /** The position of this reader, with which a client would come back. */
  readonly cursor: string;
  /** The next message. Rejects once the server ended the connection. */
  next(): Promise<Received>;
  /** Stops taking bytes from the socket; `resume` starts again. Absent where every request is independent. */
  readonly pause?: () => void;
  readonly resume?: () => void;
  /** Ends the connection as a polite client would (FIN). */
  close(): void;
  /** Breaks it (RST). */
  cut(): void;
  /** Resolves when the server ends it, with what it said. */
  readonly goodbye: Promise<string>;
}

export interface RefreshableReader extends Reader {
  /** Shows a new token; resolves once it is taken. Rejects with `Refused` when it is not. */
  refresh(token: string): Promise<void>;
}

/** A connection that reads and publishes. */
export type PublishingReader = Reader & Pick<Publisher, 'publish'>;

export interface AcknowledgingReader extends Reader {
  /** Acknowledges what `next` returned last. */
  ack(): Promise<void>;
  /** Leaves with what is not acknowledged. Resolves with the reader that gets it now. */
  abandon(): Promise<AcknowledgingReader>;
}

export interface DurableReader extends Reader {
  /** After `cut`: the same client with a new connection, which names no place. */
  comeBack(): Promise<DurableReader>;
}

const sameClient = 'a client publishes by another request than it reads by';

/** For transports on which the server keeps nothing of a reader. */
export const keepsItsOwnPlace = {
  readAcknowledging: { lacks: 'nothing is acknowledged: a reader comes back with its cursor' },
  readDurably: { lacks: 'nothing is kept: a reader comes back with its cursor' },
} as const;

/** For transports whose readers publish with separate requests. */
export const publishesApart = {
  readAndPublish: { lacks: sameClient },
  readOthers: { lacks: sameClient },
} as const;

/** For transports on which a connection cannot ask to be spared its own messages. */
export const hearsItself: Lacks = { lacks: 'a subscription has no option for it' };

/** The server said no, in the transport's own terms; `code` is the row of the error table. */
export class Refused extends Error {
  readonly code: string;
  readonly status: number;
  /** All that was said, where it is text. */
  readonly said: string;

  constructor(status: number, code: string, said = '') {
    super(`${status} ${code}`);
    this.status = status;
    this.code = code;
    this.said = said;
  }
}
