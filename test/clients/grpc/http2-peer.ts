import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { decodeFields, encodeFields, type Field } from './hpack.ts';
import { Watchers } from './watchers.ts';

/** RFC 9113 §6. */
export const types = {
  data: 0,
  headers: 1,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const flags = { endStream: 1, ack: 1, endHeaders: 4, padded: 8 } as const;
/** RFC 9113 §7. */
export const codes = {
  none: 0,
  protocol: 1,
  flowControl: 3,
  streamClosed: 5,
  frameSize: 6,
  refused: 7,
  cancel: 8,
  compression: 9,
  calm: 11,
} as const;

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** What became of a stream. */
export interface Outcome {
  /** HTTP status. */
  readonly status?: number;
  /** `grpc-status`, of the trailers or of the only head. */
  readonly grpcStatus?: number;
  readonly fields: Readonly<Record<string, string>>;
  readonly data: Buffer;
  /** RST_STREAM's code. */
  readonly reset?: number;
  /** GOAWAY's code. */
  readonly goaway?: number;
  readonly isClosed: boolean;
}

export function frame(type: number, flag: number, stream: number, payload: Buffer | string = ''): Buffer {
  const body = Buffer.from(payload as string);
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flag;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** A length-prefixed message of gRPC. */
export function grpcMessage(message: Buffer, { flag = 0, length = message.length } = {}): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

export const callHead = (path: string, ...more: readonly Field[]): Field[] => [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', path],
  [':authority', 'test'],
  ['te', 'trailers'],
  ['content-type', 'application/grpc'],
  ...more,
];

export const head = (stream: number, fields: readonly Field[], flag: number = flags.endHeaders): Buffer =>
  frame(types.headers, flag, stream, encodeFields(fields));

export const data = (stream: number, payload: Buffer, flag = 0): Buffer =>
  frame(types.data, flag, stream, payload);

/** No dynamic table; server push off. */
export const ourSettings = frame(types.settings, 0, 0, Buffer.from('000100000000000200000000', 'hex'));

/** HTTP/2 in clear text, byte for byte as the test says, and read without a line of any library. */
export class Http2Peer {
  readonly frames: Frame[] = [];
  isClosed = false;
  /** Answers SETTINGS and PING as a peer should, which may be done behind the preface only. */
  isPolite = false;
  readonly #socket: Socket;
  #rest: Buffer = Buffer.alloc(0);
  readonly #watchers = new Watchers();

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isClosed = true;
      this.#watchers.look();
    });
  }

  /** @param address `host:port` */
  static async connect(address: string): Promise<Http2Peer> {
    const { hostname, port } = new URL(`http://${address}`);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    await once(socket, 'connect');
    return new Http2Peer(socket);
  }

  /** With the preface and SETTINGS of both sides exchanged. */
  static async open(address: string): Promise<Http2Peer> {
    const peer = await Http2Peer.connect(address);
    peer.isPolite = true;
    peer.write(preface, ourSettings);
    await peer.until(() =>
      peer.frames.some(({ type, flags: flag }) => type === types.settings && flag === 1),
    );
    return peer;
  }

  write(...parts: readonly Buffer[]): void {
    if (!this.#socket.destroyed) this.#socket.write(Buffer.concat(parts));
  }

  /** Resolves when the system has taken everything, or the connection is gone. */
  async flushed(): Promise<void> {
    if (this.#socket.destroyed || !this.#socket.writableNeedDrain) return;
    await Promise.race([once(this.#socket, 'drain'), once(this.#socket, 'close')]);
  }

  pause(): void {
    this.#socket.pause();
  }

  end(): void {
    this.#socket.end();
  }

  cut(): void {
    this.#socket.resetAndDestroy();
  }

  /** What is known of a stream by now. */
  outcome(stream: number): Outcome {
    const own = this.frames.filter((one) => one.stream === stream);
    const fields = Object.assign(
      {},
      ...own.filter(({ type }) => type === types.headers).map(({ payload }) => decodeFields(payload)),
    ) as Record<string, string>;
    const reset = own.find(({ type }) => type === types.rstStream)?.payload.readUInt32BE(0);
    const goaway = this.frames.find(({ type }) => type === types.goaway)?.payload.readUInt32BE(4);
    return {
      ...(fields[':status'] === undefined ? {} : { status: Number(fields[':status']) }),
      ...(fields['grpc-status'] === undefined ? {} : { grpcStatus: Number(fields['grpc-status']) }),
      fields,
      data: Buffer.concat(own.filter(({ type }) => type === types.data).map(({ payload }) => payload)),
      ...(reset === undefined ? {} : { reset }),
      ...(goaway === undefined ? {} : { goaway }),
      isClosed: this.isClosed,
    };
  }

  /** Waits for the end of a stream: its last frame, a reset, or the end of the connection. */
  async ended(stream: number): Promise<Outcome> {
    await this.until(
      () =>
        this.isClosed ||
        this.frames.some(
          ({ type, flags: flag, stream: of }) =>
            of === stream &&
            (type === types.rstStream ||
              ((type === types.data || type === types.headers) && (flag & flags.endStream) !== 0)),
        ),
    );
    return this.outcome(stream);
  }

  async closed(): Promise<Outcome> {
    await this.until(() => this.isClosed);
    return this.outcome(0);
  }

  until(isSo: () => boolean): Promise<void> {
    return this.#watchers.until(isSo, () =>
      this.frames.slice(-5).map(({ payload, ...rest }) => ({
        ...rest,
        payload: payload.toString('hex').slice(0, 80),
      })),
    );
  }

  #take(bytes: Buffer): void {
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (this.#rest.length >= 9) {
      const end = 9 + this.#rest.readUIntBE(0, 3);
      if (this.#rest.length < end) break;
      const one: Frame = {
        type: this.#rest[3]!,
        flags: this.#rest[4]!,
        stream: this.#rest.readUInt32BE(5),
        payload: Buffer.from(this.#rest.subarray(9, end)),
      };
      this.#rest = this.#rest.subarray(end);
      this.frames.push(one);
      if (this.isPolite) this.#answer(one);
    }
    this.#watchers.look();
  }

  #answer({ type, flags: flag, payload }: Frame): void {
    if ((flag & flags.ack) !== 0) return;
    if (type === types.settings) this.write(frame(types.settings, flags.ack, 0));
    if (type === types.ping) this.write(frame(types.ping, flags.ack, 0, payload));
  }
}
