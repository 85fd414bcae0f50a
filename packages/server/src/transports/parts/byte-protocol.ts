import type { Origins } from '../../http/origin.ts';
import type { Host } from '../../core/seams/transport.ts';
import type { UpgradeRouter } from '../../http/upgrades.ts';
import type { Link, LinkHandlers, OpenLinks } from '../../net/link.ts';
import {
  listenTcp,
  noListener,
  type ListenAddress,
  type SecureAddress,
  type TcpListener,
} from '../../net/listener.ts';
import { serveWebSocketLinks } from '../../net/websocket-links.ts';
import type { WebSocketLimits } from '../../websocket/limits.ts';
import { cutAt } from '../../net/drain.ts';

/** The parts of the HTTP port that a byte protocol needs. */
export interface ByteProtocolFront {
  readonly upgrades: UpgradeRouter;
  /** `http://host:port`, once it listens. */
  readonly url: string;
}

/** The configured addresses of the protocol. */
export interface ByteProtocolPlaces {
  /** Origins that browsers may come from; absent: any, as long as authentication is off. */
  readonly allowedOrigins?: Origins | undefined;
  /** The address for TCP connections. */
  readonly listen: ListenAddress;
  /** The address for TCP connections over TLS; absent: none. */
  readonly listenSecurely?: SecureAddress | undefined;
}

/** The protocol's half of one connection. */
export interface ByteConnection {
  receive(bytes: Buffer): void;
  /** The link takes bytes again. */
  drained(): void;
  /** The peer sends nothing more. Calls `end` once all earlier commands are answered. */
  peerEnded(end: () => void): void;
  /** The link is gone. */
  ended(): void;
  /** The link's deadline has passed. */
  overdue(): void;
}

export interface ByteProtocol<Connection> {
  /** The name in the configuration, such as `mqtt`; over TLS `mqtts`. */
  readonly name: string;
  /** The path on the HTTP port. */
  readonly path: string;
  /** WebSocket subprotocols, and whether a client must offer one of them. */
  readonly subprotocols: readonly string[];
  readonly isSubprotocolRequired?: boolean;
  /** The kind of frames: whether the bytes may come in text frames, and how the answers are sent. */
  readonly frames: 'text' | 'binary';
  /** Payload of one WebSocket message, which may hold several packets or part of one. */
  readonly messageBytesMax: number;
  /** The same before the peer is authenticated; absent: as `headerBytesMax`. */
  readonly untrustedMessageBytesMax?: number;
  /** `undefined` refuses the connection. */
  readonly open: (link: Link<Connection>) => Connection | undefined;
}

/** One protocol that is a stream of bytes, over TCP, over TLS and over WebSocket. */
export class ByteProtocolServer<Connection extends ByteConnection> {
  readonly #front: ByteProtocolFront;
  readonly #path: string;
  readonly #tcp: TcpListener<Connection>;
  readonly #secure: TcpListener<Connection>;
  readonly #webSocket: OpenLinks<Connection>;

  private constructor(
    front: ByteProtocolFront,
    path: string,
    links: {
      readonly tcp: TcpListener<Connection>;
      readonly secure: TcpListener<Connection>;
      readonly webSocket: OpenLinks<Connection>;
    },
  ) {
    this.#front = front;
    this.#path = path;
    this.#tcp = links.tcp;
    this.#secure = links.secure;
    this.#webSocket = links.webSocket;
  }

  /** Starts the server of a protocol. @throws Error for the operator, if a port was configured and is not available */
  static async serve<Connection extends ByteConnection>(
    protocol: ByteProtocol<Connection>,
    host: Host<WebSocketLimits>,
    front: ByteProtocolFront,
    { allowedOrigins, listen, listenSecurely }: ByteProtocolPlaces,
  ): Promise<ByteProtocolServer<Connection>> {
    const { limits, clock, log, admission } = host;
    const {
      name,
      path,
      open,
      subprotocols,
      isSubprotocolRequired,
      frames,
      messageBytesMax,
      untrustedMessageBytesMax,
    } = protocol;
    const handlers: LinkHandlers<Connection> = {
      onData: ({ context }, bytes) => context.receive(bytes),
      onDrain: ({ context }) => context.drained(),
      onPeerEnd: ({ context }, end) => context.peerEnded(end),
      onClose: ({ context }) => context.ended(),
      onDeadline: ({ context }) => context.overdue(),
    };
    const shared = { open, handlers, limits, clock, log };
    const webSocket = serveWebSocketLinks<Connection>({
      ...shared,
      upgrades: front.upgrades,
      path,
      handshake: {
        allowedOrigins,
        protocols: subprotocols,
        isProtocolRequired: isSubprotocolRequired,
      },
      isTextData: frames === 'text',
      answersAs: frames,
      messageBytesMax,
      untrustedMessageBytesMax: untrustedMessageBytesMax ?? limits.headerBytesMax,
    });
    const tcp = await listenTcp<Connection>({ ...shared, ...listen, name, admission });
    const secure =
      listenSecurely === undefined
        ? noListener<Connection>()
        : await listenTcp<Connection>({ ...shared, ...listenSecurely, name: `${name}s`, admission });
    return new ByteProtocolServer(front, path, { tcp, secure, webSocket });
  }

  /** The port of the TCP listener; `undefined`: it is off. */
  get port(): number | undefined {
    return this.#tcp.port;
  }

  /** `<name>://host:port`; `undefined`: that listener is off. */
  get url(): string | undefined {
    return this.#tcp.url;
  }

  get secureUrl(): string | undefined {
    return this.#secure.url;
  }

  get webSocketUrl(): string {
    return `${this.#front.url.replace(/^http/, 'ws')}${this.#path}`;
  }

  /**
   * Accepts no new TCP connections, and resolves when all have gone or were cut at `deadline`.
   * @param sendAway called for every connection: those without a session have no notice from the hub
   */
  async drain(deadline: AbortSignal, sendAway: (connection: Connection) => void): Promise<void> {
    const links = [...this.#links()];
    this.#tcp.close();
    this.#secure.close();
    for (const { context } of links) sendAway(context);
    await cutAt(deadline, {
      gone: Promise.all([this.#tcp.emptied(), this.#secure.emptied(), this.#webSocket.emptied()]),
      cut: () => {
        for (const link of [...this.#links()]) link.destroy();
      },
    });
  }

  *#links(): Iterable<Link<Connection>> {
    yield* this.#tcp;
    yield* this.#secure;
    yield* this.#webSocket;
  }
}
