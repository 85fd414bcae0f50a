import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { HttpLimits } from './limits.ts';

const queue = Symbol('requests on this connection');

type QueuedSocket = Socket & { [queue]?: RequestQueue | undefined };

type QueueLimits = Pick<HttpLimits, 'pipelinedRequestsMax'>;

/**
 * Serves a request, now or when fewer requests of its connection are in progress. Node starts pipelined requests at the
 * same time, and each could be a long poll, so the number must be limited. Meanwhile the server does not read from the
 * connection; it refuses nothing, because HTTP lets a client send requests ahead (RFC 9112 §9.3.2).
 */
export function serveInTurn(
  socket: QueuedSocket,
  response: ServerResponse,
  { pipelinedRequestsMax }: QueueLimits,
  serve: () => void,
): void {
  // Node gives the socket to the response whose turn it is, so all earlier requests are answered.
  if (response.socket !== null) serve();
  else queueOf(socket).add(response, serve, pipelinedRequestsMax);
}

/** Resolves once all requests before this one on its connection are answered, or the connection is gone. */
export async function whenFirst(response: ServerResponse): Promise<void> {
  if (response.socket !== null || response.destroyed) return;
  await new Promise<void>((resolve) => response.once('socket', () => resolve()).once('close', resolve));
}

/** The connection has its last answer: later bytes are not a request any more (RFC 9112 §9.6). */
export function endQueue(socket: QueuedSocket): void {
  queueOf(socket).end();
}

export function isQueueEnded(socket: QueuedSocket): boolean {
  return socket[queue]?.isEnded === true;
}

/** Whether received requests wait for their start, so that the server does not read from the connection. */
export function isQueueHeld(socket: QueuedSocket): boolean {
  return socket[queue]?.isHeld === true;
}

/** An answer takes the whole connection: requests behind it are never answered. */
export function dropQueue(socket: QueuedSocket): void {
  if (socket[queue] === undefined) return;
  socket[queue].end();
  socket[queue] = undefined;
  readAgain(socket);
}

/**
 * Another protocol takes the connection, once the earlier requests are answered. Keeps its input until the returned
 * function is called: HTTP resumes the socket, and the input would be lost.
 */
export function keepInput(socket: QueuedSocket): () => void {
  const pause = (): void => void socket.pause();
  socket.on('resume', pause);
  return () => {
    socket.off('resume', pause);
    // The state after an upgrade of Node: not flowing, because there is no listener.
    (socket as { readableFlowing: boolean | null }).readableFlowing = null;
    readAgain(socket);
  };
}

/** Fields of Node's HTTP on a socket. They are not documented, so they may be absent. */
interface ReadParts {
  readonly _handle?: { reading?: boolean; readStart?(): void } | null;
}

/** Node's HTTP stops the reading of a paused socket, and starts it again only while it owns the socket. */
function readAgain(socket: Socket): void {
  const handle = (socket as unknown as ReadParts)._handle;
  if (handle?.reading !== false || handle.readStart === undefined) return;
  handle.reading = true;
  handle.readStart();
}

function queueOf(socket: QueuedSocket): RequestQueue {
  return (socket[queue] ??= new RequestQueue(socket));
}

interface HeldRequest {
  readonly response: ServerResponse;
  readonly serve: () => void;
}

/** The requests of one connection that wait for earlier ones. */
class RequestQueue {
  readonly #socket: Socket;
  /** Requests that were started while an earlier one was unanswered. */
  #behind = 0;
  #held: HeldRequest[] = [];
  #isEnded = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get isHeld(): boolean {
    return this.#held.length > 0;
  }

  add(response: ServerResponse, serve: () => void, behindMax: number): void {
    if (this.#behind < behindMax && !this.isHeld) {
      this.#start({ response, serve });
      return;
    }
    this.#held.push({ response, serve });
    if (this.#held.length > 1) return;
    this.#socket.on('resume', this.#stayPaused);
    this.#socket.pause();
  }

  end(): void {
    this.#isEnded = true;
    this.#held = [];
    this.#resume();
  }

  #start({ response, serve }: HeldRequest): void {
    this.#behind += 1;
    response.once('close', () => {
      this.#behind -= 1;
      this.#startNext();
    });
    serve();
  }

  #startNext(): void {
    const next = this.#held.shift();
    if (next === undefined) return;
    if (this.#socket.destroyed) this.#held = [];
    else this.#start(next);
    if (!this.isHeld) this.#resume();
  }

  #resume(): void {
    this.#socket.off('resume', this.#stayPaused);
    if (!this.#socket.destroyed) this.#socket.resume();
  }

  /** Node resumes the socket for the body of any request on it. */
  readonly #stayPaused = (): void => {
    if (this.isHeld) this.#socket.pause();
  };
}
