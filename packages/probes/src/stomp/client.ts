import { encodeFrame, FrameReader, type Frame, type Headers } from '@everywire/wires/stomp';
import { openByteStream } from '../byte-stream.ts';
import { Refused } from '../http/request.ts';
import type { Target } from '../target.ts';

/** A connection that speaks STOMP 1.2, once CONNECTED has come. */
export interface StompClient {
  send(command: string, headers: Headers, body?: Buffer): void;
  /** The next frame from the server. An ERROR is thrown. @throws Refused, Cut */
  next(): Promise<Frame>;
  close(): void;
}

const mib = 1024 * 1024;
/** What a server may send. Not to bound it, which is the server's to do, but because a reader has bounds. */
const bounds = {
  headBytesMax: mib,
  headersMax: 1_000,
  lineBytesMax: mib,
  commandBytesMax: 64,
  bodyBytesMax: 16 * mib,
};
/** The server is asked for a heart-beat as often as HTTP's streams have one. */
const beatEveryMs = 15_000;

/** @throws Unreachable, Refused, Cut */
export async function openStomp(target: Target, signal: AbortSignal): Promise<StompClient> {
  const stream = await openByteStream(target, {
    path: '/stomp',
    protocol: 'v12.stomp',
    isText: false,
    idleMs: 3 * beatEveryMs,
    signal,
  });
  const reader = new FrameReader(bounds);
  const chunks = stream.chunks[Symbol.asyncIterator]();
  const next = async (): Promise<Frame> => {
    for (;;) {
      const received = reader.next();
      if (received?.kind === 'fault') throw new Refused(`that is not STOMP: ${received.detail}`, {});
      if (received?.kind === 'frame') return checkFrame(received.frame);
      const chunk = await chunks.next();
      if (chunk.done !== true) reader.push(chunk.value);
    }
  };
  const send = (command: string, headers: Headers, body?: Buffer): void =>
    stream.write(encodeFrame(command, headers, '1.2', body));
  try {
    send('CONNECT', [
      ['accept-version', '1.2'],
      ['host', target.host],
      ['heart-beat', `0,${beatEveryMs}`],
      ...(target.token === undefined ? [] : [['passcode', target.token] as const]),
    ]);
    const connected = await next();
    if (connected.command !== 'CONNECTED') throw new Refused(`CONNECT was answered ${connected.command}`, {});
  } catch (error) {
    stream.close();
    throw error;
  }
  reader.version = '1.2';
  return {
    send,
    next,
    close: () => stream.close(),
  };
}

/** @throws Refused for an ERROR, whose header `message` is a code of the error table */
function checkFrame(frame: Frame): Frame {
  if (frame.command !== 'ERROR') return frame;
  const code = frame.headers.get('message');
  const isPassing = code === 'going_away' || code === 'rate_limited' || code === 'store_unavailable';
  throw new Refused(`${code ?? 'refused'}: ${frame.body.toString().trim()}`, {
    code,
    status: isPassing ? 503 : undefined,
  });
}
