import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { isDeparture } from '../net/guard.ts';
import { dropQueue } from './request-queue.ts';

/** Node's parser of one connection, as `http` itself uses it. */
interface HttpParser {
  _consumed?: boolean;
  socket?: unknown;
  incoming?: unknown;
  outgoing?: unknown;
  onIncoming?: unknown;
  [callback: number]: unknown;
  remove(): void;
  close(): void;
  unconsume(): void;
}

/** Fields that Node keeps on a socket while HTTP owns it. They are not documented, so any of them may be absent. */
interface HttpParts {
  parser?: Partial<HttpParser> | null;
}

const releasing = ['remove', 'close', 'unconsume'] as const;

/** Slots of a parser that hold callbacks bound to the socket (`kOnMessageBegin` … `kOnTimeout`). */
const parserCallbacks = 7;

const taken = Symbol('taken over');

type Takeable = Socket & { [taken]?: true };

/** Whether the socket left HTTP: later events of Node's parser are not requests. */
export function isTakenOver(socket: Socket): boolean {
  return (socket as Takeable)[taken] === true;
}

/**
 * Takes the socket of a request away from HTTP, the way Node itself does for an upgrade, and releases the parser, the
 * request and the response. An idle stream then costs its socket alone, instead of about 12 KB more. The caller writes
 * the response, headers included, and owns the socket from here on; input is discarded.
 *
 * Where the internals of Node differ, the objects stay, which costs memory and nothing else: answers are written to the
 * socket all the same, and request handlers ignore requests of a socket that `isTakenOver`.
 */
export function takeOver(request: IncomingMessage, response: ServerResponse): Socket {
  const { socket } = request;
  const parts = socket as unknown as HttpParts;
  (socket as Takeable)[taken] = true;
  dropQueue(socket);
  response.detachSocket(socket);
  socket.setTimeout(0);
  const { parser } = parts;
  if (!canRelease(parser)) return socket;
  if (parser._consumed === true) {
    parser.unconsume();
    parser._consumed = false;
  }
  // Removes it from the list in which Node looks for slow requests and idle connections.
  parser.remove();
  parser.socket = null;
  parser.incoming = null;
  parser.outgoing = null;
  parser.onIncoming = null;
  for (let slot = 0; slot < parserCallbacks; slot += 1) {
    if (typeof parser[slot] === 'function') parser[slot] = null;
  }
  // After the parser's own call has returned, because that call may have called this function.
  setImmediate(() => parser.close());
  // Not deleted: an object that loses a property becomes a dictionary, of more than a kilobyte for a socket.
  parts.parser = null;
  const ends = socket.listeners('end');
  const closes = socket.listeners('close');
  // All at once, because the emitter then makes a new, small table.
  socket.removeAllListeners();
  for (const listener of ends) {
    // The listener of `net` itself ends the readable side, and has to stay.
    if (listener.name === 'onReadableStreamEnd') socket.on('end', listener as () => void);
  }
  for (const listener of closes) if (isDeparture(listener)) socket.once('close', listener as () => void);
  return socket;
}

function canRelease(parser: Partial<HttpParser> | null | undefined): parser is HttpParser {
  return releasing.every((method) => typeof parser?.[method] === 'function');
}
