import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { EverywireError } from '@everywire/protocol';
import type { HttpLimits } from './limits.ts';

const queue = Symbol('requests on this connection');

/** The state of requests on one connection that came before earlier ones were answered. */
interface Queue {
  waiting: number;
  isRefused: boolean;
}

type QueuedSocket = Socket & { [queue]?: Queue | undefined };

/**
 * Counts a request that waits behind another of its connection. Node serves pipelined requests at the same time, and
 * each could be a long poll, so a connection may not have any number of them. Returns the refusal.
 */
export function checkQueue(
  socket: QueuedSocket,
  response: ServerResponse,
  { pipelinedRequestsMax }: Pick<HttpLimits, 'pipelinedRequestsMax'>,
): EverywireError | undefined {
  // Node gives the socket to the response whose turn it is.
  if (response.socket !== null) return undefined;
  const known = queueOf(socket);
  known.waiting += 1;
  response.once('close', () => (known.waiting -= 1));
  return known.waiting > pipelinedRequestsMax
    ? new EverywireError('rate_limited', `At most ${pipelinedRequestsMax} requests wait on one connection.`)
    : undefined;
}

/** The connection's last answer has been decided: what follows is not a request any more (RFC 9112 §9.6). */
export function endQueue(socket: QueuedSocket): void {
  queueOf(socket).isRefused = true;
}

export function isQueueEnded(socket: QueuedSocket): boolean {
  return socket[queue]?.isRefused === true;
}

function queueOf(socket: QueuedSocket): Queue {
  return (socket[queue] ??= { waiting: 0, isRefused: false });
}
