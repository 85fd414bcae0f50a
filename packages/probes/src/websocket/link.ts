import { isPassing } from '@everywire/protocol';
import { readClose } from '@everywire/protocol/everywire-v1';
import {
  acceptKeyOf,
  closeBody,
  FrameReader,
  maskedFrame,
  opcodes,
  upgradeHeaders,
  type Opcode,
} from '@everywire/wires/websocket';
import { randomBytes, randomInt } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Cut, Refused } from '../errors.ts';
import { explainEnd, readRefusal, readWhole, startOn } from '../http/request.ts';
import { answerWithinMs } from '../session.ts';
import type { Sockets } from '../sockets.ts';
import type { Tap } from '../tap.ts';
import { originOf, type Target } from '../target.ts';

/** Limits of this reader, above the limits of the server. */
const readerLimits = { messageBytesMax: 64 * 1024 * 1024, fragmentsMax: 100_000 };
/** How long to wait for the server's answer to a Close. */
const closeWithinMs = 2_000;

export interface WebSocketOptions {
  readonly path: string;
  readonly protocol?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** The expected protocol of the server, for messages. */
  readonly speaks: string;
  /** The connection counts as cut after that long without a byte. */
  readonly idleMs?: number;
}

export interface WebSocketMessage {
  readonly kind: 'text' | 'binary';
  /** May be part of a larger chunk: copy what is kept for long. */
  readonly payload: Buffer;
}

/** Connects and makes the opening handshake (RFC 6455 §4.1). @throws Unreachable, Cut, Refused */
export async function openLink(
  target: Target,
  sockets: Sockets,
  options: WebSocketOptions,
): Promise<WebSocketLink> {
  const { path, protocol, headers = {}, speaks, idleMs } = options;
  const tap = await sockets.connect();
  tap.expectBytesWithin(answerWithinMs);
  const key = randomBytes(16).toString('base64');
  const request = startOn(tap, target, {
    path,
    headers: { ...upgradeHeaders(key, protocol === undefined ? [] : [protocol]), ...headers },
  });
  const refused = new Refused(
    `${originOf(target)} answers, but not with ${speaks} at ${path.split('?', 1)[0]!}`,
  );
  const head = await new Promise<Buffer>((resolve, reject) => {
    request.once('error', (cause) => reject(explainEnd(cause, target)));
    request.once('response', (answer) => void refusalOf(answer, refused).then(reject, reject));
    request.once('upgrade', ({ headers: told }, _socket, first) => {
      const isSound =
        told['sec-websocket-accept'] === acceptKeyOf(key) && told['sec-websocket-protocol'] === protocol;
      if (isSound) resolve(first);
      else reject(refused);
    });
    request.end();
  }).catch((error: unknown) => {
    tap.destroy();
    throw error;
  });
  tap.expectBytesWithin(idleMs);
  return new WebSocketLink(tap, head);
}

async function refusalOf(answer: IncomingMessage, other: Refused): Promise<Refused> {
  if (answer.statusCode !== undefined && answer.statusCode >= 300) return readRefusal(answer);
  await readWhole(answer);
  return other;
}

/** A WebSocket of a client, with masked frames and strict reading. */
export class WebSocketLink {
  readonly #tap: Tap;
  readonly #reader = new FrameReader(readerLimits, 'client');
  #hasClosed = false;

  constructor(tap: Tap, head: Buffer) {
    this.#tap = tap;
    if (head.length > 0) this.#reader.push(head);
  }

  /** The connection counts as cut after that long without a byte; `undefined`: never. */
  expectBytesWithin(idleMs: number | undefined): void {
    this.#tap.expectBytesWithin(idleMs);
  }

  send(data: string | Buffer): void {
    this.#write(typeof data === 'string' ? opcodes.text : opcodes.binary, data);
  }

  /** The received messages. At the end it throws the reason of the end. Answers pings meanwhile. @throws Cut, Refused */
  async *messages(): AsyncGenerator<WebSocketMessage, never, undefined> {
    // Frames may have come with the answer to the handshake.
    yield* this.#take();
    try {
      for await (const chunk of this.#tap) {
        this.#reader.push(chunk as Buffer);
        yield* this.#take();
      }
    } catch (error) {
      if (error instanceof Cut || error instanceof Refused) throw error;
    }
    throw endOf(abnormal, '');
  }

  /** Sends a Close; the server's answer, or its silence, then ends the connection. */
  close(): void {
    if (this.#hasClosed) return;
    this.#write(opcodes.close, closeBody(normal));
    this.#hasClosed = true;
    this.#tap.finish(closeWithinMs);
  }

  *#take(): Generator<WebSocketMessage, void, undefined> {
    for (let one = this.#reader.next(); one !== undefined; one = this.#reader.next()) {
      switch (one.kind) {
        case 'text':
        case 'binary':
          yield { kind: one.kind, payload: one.payload };
          break;
        case 'ping':
          this.#write(opcodes.pong, one.payload);
          break;
        case 'pong':
          break;
        case 'close':
          if (!this.#hasClosed)
            this.#write(opcodes.close, closeBody(one.code === noCode ? normal : one.code));
          this.#tap.end();
          throw endOf(one.code, one.reason);
        case 'broken':
          this.#write(opcodes.close, closeBody(one.code));
          this.#tap.end();
          throw new Refused(`that is not WebSocket: ${one.reason}`);
      }
    }
  }

  #write(opcode: Opcode, payload: Buffer | string): void {
    if (this.#tap.writable) this.#tap.write(maskedFrame(opcode, payload, randomInt(maskMax)));
  }
}

const normal = 1000;
/** A Close without a code, and no Close at all (RFC 6455 §7.1.5). */
const noCode = 1005;
const abnormal = 1006;
const maskMax = 2 ** 32;

/** The error for a close: whether the client may try again. */
function endOf(closeCode: number, reason: string): Cut | Refused {
  const text = `the connection was closed (${closeCode}${reason === '' ? '' : `: ${reason}`})`;
  const ending = readClose(closeCode, reason);
  return isPassing(ending) ? new Cut(text) : new Refused(text, { code: ending.code, closeCode });
}
