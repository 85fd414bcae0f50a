import { asRecord, parseExactly } from '@everywire/protocol';
import { endOf } from '../byte-stream.ts';
import { throwHandshakeFailure } from '../handshake.ts';
import { Cut, Refused } from '../http/request.ts';
import { originOf, type Target } from '../target.ts';
import { dispatcherOf } from '../tls.ts';

type Fields = Readonly<Record<string, unknown>>;

/** A connection to `/ws` that speaks `everywire.v1`. */
export interface CommandSocket {
  /** Sends a command and resolves with its answer. @throws Refused, Cut */
  ask(command: Fields): Promise<Fields>;
  /** What comes without being asked for, until the connection ends. @throws Refused, Cut */
  frames(): AsyncGenerator<Fields, void, undefined>;
  close(): void;
}

/** An answer to our ping shows that the server is there; its own pings are invisible to us. */
const pingEveryMs = 20_000;
const path = '/ws';
const protocol = 'everywire.v1';

/**
 * Connects, and shows the token in the handshake.
 * @throws Unreachable, Refused
 */
export async function openSocket(target: Target, signal: AbortSignal): Promise<CommandSocket> {
  const origin = originOf(target, target.isSecure ? 'wss' : 'ws');
  const { token } = target;
  const headers: Record<string, string> = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const socket = new WebSocket(origin + path, {
    protocols: [protocol],
    headers,
    ...(await dispatcherOf(target.certificate)),
  });
  socket.binaryType = 'arraybuffer';
  const isOpen = await new Promise<boolean>((resolve) => {
    socket.addEventListener('open', () => resolve(true), { once: true });
    socket.addEventListener('close', () => resolve(false), { once: true });
    socket.addEventListener('error', () => resolve(false), { once: true });
    signal.addEventListener('abort', () => resolve(false), { once: true });
  });
  if (isOpen) return attach(socket, signal);
  socket.close();
  signal.throwIfAborted();
  return throwHandshakeFailure(target, { path, protocol, signal });
}

function attach(socket: WebSocket, signal: AbortSignal): CommandSocket {
  const asked = new Map<number, PromiseWithResolvers<Fields>>();
  const arrived: Fields[] = [];
  let wake: (() => void) | undefined;
  let ended: Error | undefined;
  let lastId = 0;

  const end = (reason: Error): void => {
    ended ??= reason;
    clearInterval(pinging);
    for (const answer of asked.values()) answer.reject(ended);
    asked.clear();
    wake?.();
  };
  const ask = (command: Fields): Promise<Fields> => {
    const answer = Promise.withResolvers<Fields>();
    if (ended !== undefined) return Promise.reject(ended);
    lastId += 1;
    asked.set(lastId, answer);
    socket.send(JSON.stringify({ id: lastId, ...command }));
    return answer.promise;
  };

  let isPinged = false;
  const pinging = setInterval(() => {
    if (isPinged) {
      end(new Cut(`nothing was heard for ${pingEveryMs / 1000} s`));
      socket.close();
      return;
    }
    isPinged = true;
    // Its failure is the connection's, which ends everything here anyway.
    ask({ op: 'ping' }).then(
      () => (isPinged = false),
      () => undefined,
    );
  }, pingEveryMs);
  pinging.unref();

  socket.addEventListener('message', ({ data }) => {
    const frame = typeof data === 'string' ? asRecord(parseExactly(data)) : undefined;
    if (frame === undefined) return;
    const { id } = frame;
    const answer = typeof id === 'number' && frame['op'] === undefined ? asked.get(id) : undefined;
    if (answer === undefined) {
      arrived.push(frame);
      wake?.();
      return;
    }
    asked.delete(id as number);
    if (frame['ok'] === true) answer.resolve(frame);
    else answer.reject(toRefused(frame));
  });
  socket.addEventListener('close', ({ code, reason }) => end(endOf(code, reason)), { once: true });
  signal.addEventListener('abort', () => end(new Cut('no time was left')), { once: true });

  return {
    ask,
    async *frames() {
      for (;;) {
        yield* arrived.splice(0);
        if (ended !== undefined) throw ended;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
    close() {
      clearInterval(pinging);
      socket.close();
    },
  };
}

function toRefused(answer: Fields): Refused {
  const error = asRecord(answer['error']);
  const code = typeof error?.['code'] === 'string' ? error['code'] : undefined;
  const message = typeof error?.['message'] === 'string' ? error['message'] : 'no reason was given';
  return new Refused(`${code ?? 'refused'}: ${message}`, { code });
}
