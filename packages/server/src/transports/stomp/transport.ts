import type { Endpoint, Transport } from '../../core/transport.ts';
import type { UpgradeRouter } from '../../http/upgrades.ts';
import { Deadlines } from '../../core/deadlines.ts';
import {
  listenTcp,
  noListener,
  type ListenAddress,
  type SecureAddress,
  type TcpListener,
} from '../../net/listener.ts';
import type { LinkHandlers, OpenLinks } from '../../net/link.ts';
import { serveWebSocketLinks } from '../../net/websocket-links.ts';
import { frame, opcodes } from '@everywire/wires/websocket';
import { DurablePositions } from './durables.ts';
import { MessageFormats } from './message-formats.ts';
import { StompConnection, type StompShared } from './session.ts';
import { beat } from '@everywire/wires/stomp';
import type { StompHost } from './limits.ts';

export interface StompFront {
  readonly upgrades: UpgradeRouter;
  /** `http://host:port`, once it listens. */
  readonly url: string;
}

export interface StompTransportOptions {
  /** Origins that browsers may come from; absent: any, as long as authentication is off. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Where TCP connections are taken. */
  readonly listen: ListenAddress;
  /** Where they are taken over TLS; absent: nowhere. */
  readonly listenSecurely?: SecureAddress | undefined;
  /** What WebSocket peers are told when the server drains: 1001 going away, or 1012 when it will be back. */
  readonly drainCode?: 1001 | 1012 | undefined;
}

const name = 'stomp';
const secureName = 'stomps';
const path = '/stomp';
/** Newest first. Clients may offer none: the version is agreed on by CONNECT in any case. */
const subprotocols = ['v12.stomp', 'v11.stomp', 'v10.stomp'];

const handlers: LinkHandlers<StompConnection> = {
  onData: ({ context }, bytes) => context.receive(bytes),
  onDrain: ({ context }) => context.drained(),
  onClose: ({ context }, how) => context.ended(how),
  onDeadline: ({ context }) => context.overdue(),
};

/** STOMP 1.0, 1.1 and 1.2 over TCP, and over WebSocket at `/stomp`. */
export function createStompTransport(front: StompFront, options: StompTransportOptions): Transport {
  return new StompTransport(front, options);
}

class StompTransport implements Transport {
  readonly name = name;
  readonly #front: StompFront;
  readonly #options: StompTransportOptions;
  #host!: StompHost;
  #shared!: StompShared;
  #tcp!: TcpListener<StompConnection>;
  #secure: TcpListener<StompConnection> = noListener();
  #webSocket!: OpenLinks<StompConnection>;

  constructor(front: StompFront, options: StompTransportOptions) {
    this.#front = front;
    this.#options = options;
  }

  get endpoints(): readonly Endpoint[] {
    const url = `${this.#front.url.replace(/^http/, 'ws')}${path}`;
    const own = [this.#tcp.url, this.#secure.url].filter((tcp) => tcp !== undefined);
    return [
      { transport: name, url, tryIt: `npx everywire subscribe stomp+${url.slice(0, -path.length)}/demo` },
      ...own.map((tcp) => ({ transport: name, url: tcp, tryIt: `npx everywire subscribe ${tcp}/demo` })),
    ];
  }

  async start(host: StompHost): Promise<void> {
    const { limits, clock, log, admission } = host;
    const { allowedOrigins, listen, listenSecurely } = this.#options;
    this.#host = host;
    this.#shared = shareAmongConnections(host);
    await this.#shared.durables.open();
    const shared = this.#shared;
    const link = {
      open: (opened: ConstructorParameters<typeof StompConnection>[1]) => new StompConnection(shared, opened),
      handlers,
      limits,
      clock,
      log,
    };
    this.#webSocket = serveWebSocketLinks({
      ...link,
      upgrades: this.#front.upgrades,
      path,
      handshake: {
        allowedOrigins: allowedOrigins === undefined ? undefined : new Set(allowedOrigins),
        protocols: subprotocols,
      },
      isTextData: true,
      answersAs: 'text',
      // A message may hold several frames, and one frame may come in several messages.
      messageBytesMax: 2 * limits.payloadBytesMax + limits.headerBytesMax,
      untrustedMessageBytesMax: limits.headerBytesMax,
    });
    this.#tcp = await listenTcp({ ...link, ...listen, name, admission });
    if (listenSecurely !== undefined)
      this.#secure = await listenTcp({ ...link, ...listenSecurely, name: secureName, admission });
  }

  async drain(deadline: AbortSignal): Promise<void> {
    this.#tcp.close();
    this.#secure.close();
    const links = [...this.#tcp, ...this.#secure, ...this.#webSocket];
    const { retryAfterMs } = this.#host.limits;
    for (const { context } of links) {
      // Spread, so that they do not all come back in the same moment.
      const spread = Number.parseInt(this.#host.random.hex(2), 16) / 0xffff;
      context.goAway(this.#options.drainCode ?? 1001, Math.round(retryAfterMs * (1 + spread)));
    }
    const cut = (): void => {
      for (const link of [...this.#tcp, ...this.#secure, ...this.#webSocket]) link.destroy();
    };
    if (deadline.aborted) cut();
    deadline.addEventListener('abort', cut, { once: true });
    await Promise.all([this.#tcp.emptied(), this.#secure.emptied(), this.#webSocket.emptied()]);
    deadline.removeEventListener('abort', cut);
    await this.#shared.durables.flush();
  }
}

function shareAmongConnections(host: StompHost): StompShared {
  const { limits, clock } = host;
  const bounds = {
    headBytesMax: limits.headerBytesMax,
    headersMax: limits.stompHeadersMax,
    lineBytesMax: limits.stompLineBytesMax,
    commandBytesMax: limits.stompCommandBytesMax,
    bodyBytesMax: limits.payloadBytesMax,
  };
  return {
    host,
    formats: new MessageFormats(),
    durables: new DurablePositions(host),
    beats: new Deadlines<StompConnection>({ clock, onDue: (connection) => connection.beatDue() }),
    beatBytes: { tcp: beat, websocket: frame(opcodes.text, beat) },
    byClient: new Map(),
    // Nobody is known yet: 16 KiB in all. CONNECT has no body, but some clients put an end of line there.
    firstBounds: {
      ...bounds,
      headBytesMax: limits.headerBytesMax - limits.stompLineBytesMax,
      bodyBytesMax: limits.stompLineBytesMax,
    },
    bounds,
  };
}
