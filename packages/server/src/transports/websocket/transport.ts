import { EverywireError } from '@everywire/protocol';
import { closeOf, everywireProtocol } from '@everywire/protocol/everywire-v1';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Origins } from '../../http/origin.ts';
import { messageBytesMax } from '../../core/message-bounds.ts';
import type { Identity } from '../../core/sessions/access.ts';
import type { Endpoint, Transport } from '../../core/seams/transport.ts';
import type { Session } from '../../core/seams/session-api.ts';
import type { Callers } from '../../http/credentials.ts';
import { peerOf } from '../../http/peer.ts';
import { percentDecode, rawQuery } from '../../http/percent.ts';
import { Query } from '../../http/query.ts';
import { checkReadNames, placeOf } from '../../http/read-place.ts';
import { pathOf, refuseUpgrade, type UpgradeRouter } from '../../http/upgrades.ts';
import { completeHandshake, readHandshake } from '../../websocket/accept.ts';
import type { Handshake } from '../../websocket/handshake.ts';
import { PeerGroup } from '../../websocket/peer-group.ts';
import type { WebSocketHandlers } from '../../websocket/peer.ts';
import { RawConnection, type RawRequest } from './raw.ts';
import { CommandConnection } from './session.ts';
import type { WebSocketHost } from './limits.ts';
import { cutAt } from '../../net/drain.ts';
import { refusalOf } from '../parts/refusal.ts';

export interface WebSocketFront {
  readonly upgrades: UpgradeRouter;
  readonly callers: Pick<Callers, 'authenticate'>;
  /** `http://host:port`, once it listens. */
  readonly url: string;
}

export interface WebSocketTransportOptions {
  /** Origins that browsers may come from; absent: any, as long as authentication is off. */
  readonly allowedOrigins?: Origins | undefined;
  /** The close code for peers when the server drains: 1001 going away, or 1012 service restart (IANA registry). */
  readonly drainCode?: 1001 | 1012 | undefined;
}

const name = 'websocket';
const commandPath = '/ws';
const rawPrefix = '/channels/';

const rawHandlers: WebSocketHandlers<RawConnection> = {
  onText: ({ context }, text) => context.receive('text', text),
  onBinary: ({ context }, data) => context.receive('binary', data),
  onClose: ({ context }) => context.ended(),
  onDrain: ({ context }) => context.drained(),
};

const textOnly = closeOf(new EverywireError('unsupported', 'Commands must be text frames.'));

const commandHandlers: WebSocketHandlers<CommandConnection> = {
  onText: ({ context }, text) => context.receive(text),
  onBinary: (peer) => peer.close(textOnly.code, textOnly.reason),
  onClose: ({ context }) => context.ended(),
  onDrain: ({ context }) => context.drained(),
};

/** WebSocket: one channel with bare payloads at `/channels/<name>`, and many with commands at `/ws`. */
export function createWebSocketTransport(
  front: WebSocketFront,
  options: WebSocketTransportOptions = {},
): Transport {
  return new WebSocketTransport(front, options);
}

class WebSocketTransport implements Transport {
  readonly name = name;
  readonly #front: WebSocketFront;
  readonly #options: WebSocketTransportOptions;
  #host!: WebSocketHost;
  #raw!: PeerGroup<RawConnection>;
  #commands!: PeerGroup<CommandConnection>;

  constructor(front: WebSocketFront, options: WebSocketTransportOptions) {
    this.#front = front;
    this.#options = options;
  }

  get #drainCode(): number {
    return this.#options.drainCode ?? 1001;
  }

  get endpoints(): readonly Endpoint[] {
    const url = this.#front.url.replace(/^http/, 'ws');
    return [
      { transport: name, url: `${url}${rawPrefix}<name>`, tryIt: `websocat ${url}${rawPrefix}demo` },
      {
        transport: name,
        url: `${url}${commandPath}`,
        tryIt: `echo '{"id":1,"op":"subscribe","channel":"demo"}' | websocat -n ${url}${commandPath}`,
      },
    ];
  }

  async start(host: WebSocketHost): Promise<void> {
    const { limits, clock, log } = host;
    const shared = { limits, clock, log };
    this.#host = host;
    this.#raw = new PeerGroup({
      ...shared,
      handlers: rawHandlers,
      messageBytesMax: limits.payloadBytesMax,
    });
    this.#commands = new PeerGroup({
      ...shared,
      handlers: commandHandlers,
      messageBytesMax: messageBytesMax(limits, 'json'),
    });
    const { allowedOrigins } = this.#options;
    const rawRules = { allowedOrigins };
    const commandRules = { ...rawRules, protocols: [everywireProtocol] };
    this.#front.upgrades.add(
      (path) => path === commandPath,
      (request, socket, head) => {
        this.#admit(request, socket, commandRules, (admitted) => this.#openCommands(admitted, socket, head));
      },
    );
    this.#front.upgrades.add(
      (path) => path.startsWith(rawPrefix),
      (request, socket, head) => {
        this.#admit(request, socket, rawRules, (admitted) => this.#openRaw(admitted, request, socket, head));
      },
    );
  }

  async drain(deadline: AbortSignal): Promise<void> {
    await cutAt(deadline, {
      gone: Promise.all([this.#raw.emptied(), this.#commands.emptied()]),
      cut: () => {
        for (const peer of [...this.#raw, ...this.#commands]) peer.destroy();
      },
    });
  }

  /** All work before 101: the handshake, the identity, and the checks of `open`. Answers thrown errors itself. */
  #admit(
    request: IncomingMessage,
    socket: Duplex,
    rules: Parameters<typeof readHandshake>[2],
    open: (admitted: Admitted) => Promise<void> | void,
  ): void {
    const path = pathOf(request);
    const handshake = readHandshake(request, socket, rules);
    if (handshake === undefined) return;
    const { address } = peerOf(request);
    const { retryAfterMs } = this.#host.limits;
    const refuse = (caught: unknown) => {
      const error = refusalOf(caught, this.#host.log, 'a WebSocket handshake failed');
      refuseUpgrade(socket, path, error, retryAfterMs);
    };
    if (this.#host.hub.isDraining) {
      refuse(
        new EverywireError('going_away', 'The server is stopping. Reconnect later, or to another server.'),
      );
      return;
    }
    this.#front.callers
      .authenticate(request)
      .then((identity) => open({ handshake, identity, address }))
      .catch(refuse);
  }

  #openCommands({ handshake, identity, address }: Admitted, socket: Duplex, head: Buffer): void {
    if (socket.destroyed) return;
    const connection = new CommandConnection(this.#host, this.#drainCode);
    const session = this.#host.hub.open(identity, { transport: name, address }, connection);
    const peer = completeHandshake(socket, head, handshake, { group: this.#commands, context: connection });
    connection.begin(session, peer);
  }

  /** Opens the subscription before the answer, so that the answer can say whether it is exact, or refuse a bad cursor. */
  async #openRaw(
    { handshake, identity, address }: Admitted,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
  ): Promise<void> {
    const asked = readRawRequest(request, this.#host.clock.nowMs());
    const connection = new RawConnection(this.#host, asked, this.#drainCode);
    const session: Session = this.#host.hub.open(identity, { transport: name, address }, connection);
    try {
      const subscription = await connection.subscribe(session, asked.from);
      if (socket.destroyed) {
        session.end();
        return;
      }
      const headers = {
        'Everywire-Continuity': subscription.startGaps.length === 0 ? 'exact' : 'gap',
        'Everywire-Cursor': subscription.startCursor,
      };
      const peer = completeHandshake(socket, head, handshake, {
        group: this.#raw,
        context: connection,
        headers,
      });
      connection.begin(peer, subscription);
    } catch (caught) {
      session.end();
      throw caught;
    }
  }
}

interface Admitted {
  readonly handshake: Handshake;
  readonly identity: Identity;
  readonly address: string | undefined;
}

/** Reads the query of a raw request. @throws EverywireError for a bad escape, or for a repeated or invalid parameter */
function readRawRequest(request: IncomingMessage, nowMs: number): RawRequest {
  const channel = percentDecode(pathOf(request).slice(rawPrefix.length), 'channel name');
  const query = new Query(rawQuery(request.url ?? ''));
  checkReadNames(query);
  // A client cannot distinguish payloads of many channels without an envelope.
  const isFilter = /[+#*]/.test(channel);
  return {
    channel,
    from: placeOf({ headers: request.headers, query }, nowMs),
    format: query.choice('format', ['raw', 'envelope']) ?? (isFilter ? 'envelope' : 'raw'),
    type: query.one('type'),
  };
}
