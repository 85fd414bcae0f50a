import { EverywireError } from '@everywire/protocol';
import type { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { coreLimits } from '../core/limits.ts';
import { endAfter } from './linger.ts';
import { HttpRefusal, problemBytes } from './problem.ts';

type Matches = (path: string) => boolean;
type Handle = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** Chooses the transport for a request with `Upgrade: websocket`. */
export class UpgradeRouter {
  readonly #routes: { readonly matches: Matches; readonly handle: Handle }[] = [];

  /** `matches` gets the raw path, before any decoding. From `handle` on, the transport owns the socket. */
  add(matches: Matches, handle: Handle): void {
    this.#routes.push({ matches, handle });
  }

  /** Whether a transport upgrades at this path; a plain request to such a path gets a 400. */
  knows(path: string): boolean {
    return this.#routes.some((route) => route.matches(path));
  }

  handle(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const path = pathOf(request);
    const route = this.#routes.find(({ matches }) => matches(path));
    if (route === undefined) {
      refuseUpgrade(socket, path, new EverywireError('not_found', 'This path does not support Upgrade.'));
      return;
    }
    route.handle(request, socket, head);
  }
}

/** The target's path, unchanged, without the query; also of an absolute-form target (RFC 9112 §3.2.2). */
export function pathOf(request: IncomingMessage): string {
  const target = (request.url ?? '/').replace(/^https?:\/\/[^/?]*/i, '');
  const query = target.indexOf('?');
  const path = query < 0 ? target : target.slice(0, query);
  return path === '' ? '/' : path;
}

/**
 * Whether the request asks for WebSocket. Node may ignore any other `Upgrade` (RFC 9110 §7.8), so this function is its
 * `shouldUpgradeCallback`.
 */
export function wantsWebSocket(request: IncomingMessage): boolean {
  return (request.headers.upgrade ?? '').split(',').some((one) => one.trim().toLowerCase() === 'websocket');
}

/**
 * The refusal of a WebSocket handshake that has lost its `Upgrade` on the way: as an ordinary GET it would get a page, or
 * a 404, and its client would say no more than that the handshake failed.
 */
export function findStrippedUpgrade(request: IncomingMessage): EverywireError | undefined {
  if (request.headers['sec-websocket-key'] === undefined || request.httpVersionMajor !== 1) return undefined;
  return new HttpRefusal(
    'unsupported',
    'This is a WebSocket handshake without Upgrade: websocket and Connection: upgrade. A proxy in front removes them; ' +
      'it must forward both (nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; ' +
      'proxy_set_header Connection "upgrade";).',
    { httpStatus: 426, headers: { Upgrade: 'websocket' } },
  );
}

/**
 * Answers a handshake with a problem (RFC 9457) instead of 101, and closes. It writes the bytes itself, because a
 * socket that was detached for an upgrade has no response object.
 */
export function refuseUpgrade(
  socket: Duplex,
  path: string,
  error: EverywireError,
  retryAfterMs = coreLimits.retryAfterMs.default,
): void {
  // Node's types allow other streams, but its HTTP server upgrades only sockets.
  if (socket instanceof Socket) endAfter(socket, problemBytes(error, path, retryAfterMs));
  else socket.destroy();
}
