import { messageBytesMax } from '../../core/message-bounds.ts';
import { Deadlines } from '../../core/deadlines.ts';
import type { Endpoint, Transport } from '../../core/seams/transport.ts';
import {
  ByteProtocolServer,
  type ByteProtocolFront,
  type ByteProtocolPlaces,
} from '../parts/byte-protocol.ts';
import { spreadMs } from '../../core/spread.ts';
import { frame, opcodes } from '@everywire/wires/websocket';
import { Durables } from './durables.ts';
import { MessageFormats } from './message-formats.ts';
import { StompConnection, type StompShared } from './session.ts';
import { beat } from '@everywire/wires/stomp';
import type { StompHost } from './limits.ts';

export interface StompTransportOptions extends ByteProtocolPlaces {
  /** The close code for WebSocket peers when the server drains: 1001 going away, or 1012 service restart. */
  readonly drainCode?: 1001 | 1012 | undefined;
}

const name = 'stomp';
const path = '/stomp';
/** Newest first. Clients may offer none, since CONNECT decides the version. */
const subprotocols = ['v12.stomp', 'v11.stomp', 'v10.stomp'];

/** STOMP 1.0, 1.1 and 1.2 over TCP, and over WebSocket at `/stomp`. */
export function createStompTransport(front: ByteProtocolFront, options: StompTransportOptions): Transport {
  return new StompTransport(front, options);
}

class StompTransport implements Transport {
  readonly name = name;
  readonly #front: ByteProtocolFront;
  readonly #options: StompTransportOptions;
  #shared!: StompShared;
  #server!: ByteProtocolServer<StompConnection>;

  constructor(front: ByteProtocolFront, options: StompTransportOptions) {
    this.#front = front;
    this.#options = options;
  }

  get endpoints(): readonly Endpoint[] {
    const { url, secureUrl, webSocketUrl } = this.#server;
    const own = [url, secureUrl].filter((tcp) => tcp !== undefined);
    return [
      {
        transport: name,
        url: webSocketUrl,
        tryIt: `npx everywire subscribe stomp+${webSocketUrl.slice(0, -path.length)}/demo`,
      },
      ...own.map((tcp) => ({ transport: name, url: tcp, tryIt: `npx everywire subscribe ${tcp}/demo` })),
    ];
  }

  async start(host: StompHost): Promise<void> {
    const { limits } = host;
    const shared = shareAmongConnections(host, this.#options.drainCode ?? 1001);
    this.#shared = shared;
    await shared.durables.start();
    const protocol = {
      name,
      path,
      subprotocols,
      frames: 'text',
      // A message may hold several frames, and one frame may come in several messages.
      messageBytesMax: 2 * messageBytesMax(limits, 'bytes'),
      open: (link: ConstructorParameters<typeof StompConnection>[1]) => new StompConnection(shared, link),
    } as const;
    this.#server = await ByteProtocolServer.serve<StompConnection>(
      protocol,
      host,
      this.#front,
      this.#options,
    );
  }

  async drain(deadline: AbortSignal): Promise<void> {
    const { limits, random } = this.#shared.host;
    await this.#server.drain(deadline, (connection) =>
      connection.goAway(spreadMs(limits.retryAfterMs, random)),
    );
    await this.#shared.durables.stop();
  }
}

function shareAmongConnections(host: StompHost, drainCode: number): StompShared {
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
    durables: new Durables(host),
    drainCode,
    beats: new Deadlines<StompConnection>({ clock, onDue: (connection) => connection.beatDue() }),
    beatBytes: { tcp: beat, websocket: frame(opcodes.text, beat) },
    byClient: new Map(),
    // Before authentication: 16 KiB in all. CONNECT has no body, but some clients put an end of line there.
    firstBounds: {
      ...bounds,
      headBytesMax: limits.headerBytesMax - limits.stompLineBytesMax,
      bodyBytesMax: limits.stompLineBytesMax,
    },
    bounds,
  };
}
