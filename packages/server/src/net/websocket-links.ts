import { EverywireError, toEverywireError } from '@everywire/protocol';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { peerOf } from '../http/peer.ts';
import { rawQuery } from '../http/percent.ts';
import { Query } from '../http/query.ts';
import { pathOf, refuseUpgrade, type UpgradeRouter } from '../http/upgrades.ts';
import { completeHandshake, readHandshake } from '../websocket/accept.ts';
import type { HandshakeRules } from '../websocket/handshake.ts';
import type { WebSocketLimits } from '../websocket/limits.ts';
import { PeerGroup } from '../websocket/peer-group.ts';
import { connectionKey } from './guard.ts';
import { LinkGroup, type LinkOptions } from './link-group.ts';
import type { OpenLinks } from './link.ts';
import { certificateOf } from './tls-end.ts';
import { peerHandlers, WebSocketLink, type WebSocketLinkRules } from './websocket-link.ts';

export interface WebSocketLinksOptions<Context> extends LinkOptions<Context>, WebSocketLinkRules {
  readonly limits: WebSocketLimits;
  /** The source of handshakes. */
  readonly upgrades: UpgradeRouter;
  /** The served path. */
  readonly path: string;
  readonly handshake: HandshakeRules;
  /** Payload of one WebSocket message, which may hold many packets or part of one. */
  readonly messageBytesMax: number;
  /** The same until `link.trust()`. */
  readonly untrustedMessageBytesMax: number;
}

/** Serves links at a path of the HTTP port. */
export function serveWebSocketLinks<Context>(options: WebSocketLinksOptions<Context>): OpenLinks<Context> {
  const { upgrades, path, limits, clock, log, messageBytesMax, untrustedMessageBytesMax } = options;
  const group = new LinkGroup(options);
  const peers = new PeerGroup<WebSocketLink<Context>>({
    handlers: peerHandlers(),
    limits,
    messageBytesMax,
    firstMessageBytesMax: untrustedMessageBytesMax,
    // A protocol in binary frames has its own bound, and more to say about it [MQTT-6.0.0-2].
    passesLongBinary: options.answersAs === 'binary',
    clock,
    log,
  });
  const { handshake: rules, isTextData, answersAs } = options;
  upgrades.add(
    (asked) => asked === path,
    (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      const handshake = readHandshake(request, socket, rules);
      if (handshake === undefined) return;
      const refuse = (error: EverywireError): void =>
        refuseUpgrade(socket, pathOf(request), error, limits.retryAfterMs);
      let ticket: string | undefined;
      try {
        ticket = new Query(rawQuery(request.url ?? '')).one('ticket');
      } catch (caught) {
        refuse(toEverywireError(caught));
        return;
      }
      const link = new WebSocketLink({
        group,
        rules: { isTextData, answersAs },
        address: peerOf(request).address,
        connection: connectionKey(request.socket),
        certificate: certificateOf(request.socket),
        ticket,
        protocol: handshake.protocol,
      });
      if (link.open())
        link.begin(completeHandshake(socket, head, handshake, { group: peers, context: link }));
      else refuse(refusal());
    },
  );
  return {
    get size() {
      return peers.size;
    },
    *[Symbol.iterator]() {
      for (const { context } of peers) yield context;
    },
    emptied: () => peers.emptied(),
  };
}

function refusal(): EverywireError {
  return new EverywireError(
    'going_away',
    'No new connections are accepted now. Try again later, or on another node.',
  );
}
