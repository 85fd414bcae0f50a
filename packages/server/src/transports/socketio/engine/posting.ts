import { isUtf8 } from 'node:buffer';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { toEverywireError } from '@everywire/protocol';
import { parsePayload } from '@everywire/wires/socketio';
import type { Clock } from '../../../core/clock.ts';
import { readBody } from '../../../http/body.ts';
import type { SocketIoLimits } from '../limits.ts';
import { answer, refuse } from './answers.ts';
import type { EngineSocket } from './engine-socket.ts';
import { refusals } from './refusals.ts';

export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Fields of every answer to it. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface PostRules<Context> {
  readonly bytesMax: number;
  readonly limits: SocketIoLimits;
  readonly clock: Clock;
  /** All its messages were handled. Its answer waits for the promise. */
  readonly afterPost: ((socket: EngineSocket<Context>) => undefined | Promise<void>) | undefined;
}

/**
 * Handles the messages of a POST, and answers when they are done.
 * @throws EverywireError for a body that could not be read
 */
export async function takePost<Context>(
  socket: EngineSocket<Context>,
  { request, response, headers }: Exchange,
  { bytesMax, limits, clock, afterPost }: PostRules<Context>,
): Promise<void> {
  const refuseIt = (): void => {
    socket.close();
    refuse(response, refusals.badRequest, headers);
  };
  const type = request.headers['content-type'];
  const isText = type === undefined || /^text\/plain\s*(;|$)/i.test(type);
  if (socket.isPosting || !isText) {
    refuseIt();
    return;
  }
  socket.isPosting = true;
  try {
    const body = await readBody(request, { bytesMax, limits, clock });
    const packets = isUtf8(body) ? parsePayload(body.toString()) : undefined;
    if (packets === undefined || hasEnded(socket)) {
      refuseIt();
      return;
    }
    const done: Promise<unknown>[] = [];
    for (const packet of packets) {
      if (hasEnded(socket)) break;
      const received = socket.receive(packet);
      if (received === undefined) {
        refuseIt();
        return;
      }
      if (received.done !== undefined) done.push(received.done);
    }
    if (done.length > 0) await socket.untilHandled(Promise.all(done));
    await (hasEnded(socket) ? socket.goodbye : afterPost?.(socket));
    answer(response, 200, headers, 'ok');
  } catch (caught) {
    // The body broke off, so its content is unknown.
    if (toEverywireError(caught).code !== 'too_large') socket.close();
    throw caught;
  } finally {
    socket.isPosting = false;
  }
}

/** The session may end during an `await` or a handler, which the compiler cannot see. */
function hasEnded(socket: { readonly isOpen: boolean }): boolean {
  return !socket.isOpen;
}
