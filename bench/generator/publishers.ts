import { everywireProtocol } from '@everywire/protocol/everywire-v1';
import { FrameReader as StompReader } from '@everywire/wires/stomp';
import { opcodes } from '@everywire/wires/websocket';
import net from 'node:net';
import { clientFrame, serverFrames, upgradeRequest } from './handshakes.ts';
import { brokerPackets, mqttConnect, mqttPublish } from './mqtt.ts';
import { stompConnect, stompFrame } from './stomp.ts';

/** Where and how to publish. `path` has `{channel}` where the channel's name goes. */
export interface PublishTarget {
  /** `mqtt` is QoS 1; `mqtt-qos0` has no acknowledgement, and `stomp` asks for none. */
  readonly wire: 'everywire.v1' | 'http' | 'mqtt' | 'mqtt-qos0' | 'stomp';
  readonly port: number;
  readonly path: string;
  /** Shown by `everywire.v1` and MQTT. */
  readonly token?: string | undefined;
}

/** Told when a publish was acknowledged, or refused, in the order in which the publishes were made. */
export type OnAnswer = (isOk: boolean) => void;

/** A connection on which messages are published. */
export interface Publisher {
  /** How many publishes have not been answered. */
  readonly inFlight: number;
  publish(channel: string, payload: string): void;
  close(): void;
}

export function openPublisher(target: PublishTarget, onAnswer: OnAnswer): Promise<Publisher> {
  switch (target.wire) {
    case 'http':
      return HttpPublisher.open(target, onAnswer);
    case 'everywire.v1':
      return FramePublisher.open(target, onAnswer);
    case 'mqtt':
    case 'mqtt-qos0':
      return MqttPublisher.open(target, onAnswer);
    case 'stomp':
      return StompPublisher.open(target, onAnswer);
  }
}

function connect(port: number): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.off('error', reject);
      socket.on('error', (error) => console.error(`publisher: ${error.message}`));
      resolve(socket);
    });
    socket.setNoDelay(true);
    socket.once('error', reject);
  });
}

/** Publishes over one WebSocket connection that speaks `everywire.v1`. */
class FramePublisher implements Publisher {
  inFlight = 0;
  readonly #socket: net.Socket;
  readonly #onAnswer: OnAnswer;
  #lastId = 0;
  readonly #frames = serverFrames();

  private constructor(socket: net.Socket, onAnswer: OnAnswer) {
    this.#socket = socket;
    this.#onAnswer = onAnswer;
  }

  static async open({ port, path, token }: PublishTarget, onAnswer: OnAnswer): Promise<FramePublisher> {
    const socket = await connect(port);
    const publisher = new FramePublisher(socket, onAnswer);
    await new Promise<void>((resolve, reject) => {
      let head = '';
      const readHead = (chunk: Buffer): void => {
        head += chunk.toString('latin1');
        if (!head.includes('\r\n\r\n')) return;
        socket.off('data', readHead);
        if (head.startsWith('HTTP/1.1 101')) {
          socket.on('data', (bytes) => publisher.#read(bytes));
          resolve();
        } else {
          reject(new Error(`publisher: ${head.slice(0, 200)}`));
        }
      };
      socket.on('data', readHead);
      socket.once('close', () => reject(new Error('publisher: the server closed the connection')));
      socket.write(upgradeRequest({ host: `127.0.0.1:${port}`, path, token }, everywireProtocol));
    });
    return publisher;
  }

  publish(channel: string, payload: string): void {
    const id = ++this.#lastId;
    this.inFlight++;
    // Frames of one turn leave in one write: the generator's cost, not the server's, is what corking saves.
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      setImmediate(() => this.#socket.uncork());
    }
    this.#socket.write(
      clientFrame(
        `{"id":${id},"op":"publish","channel":"${channel}","type":"text/plain","data":"${payload}"}`,
      ),
    );
  }

  close(): void {
    this.#socket.resetAndDestroy();
  }

  #read(chunk: Buffer): void {
    this.#frames.push(chunk);
    for (let one = this.#frames.next(); one !== undefined; one = this.#frames.next()) {
      switch (one.kind) {
        case 'text':
          this.inFlight--;
          this.#onAnswer(one.payload.includes('"ok":true'));
          break;
        case 'ping':
          this.#socket.write(clientFrame(one.payload, opcodes.pong));
          break;
        case 'close':
        case 'broken':
          console.error(`publisher: closed with ${one.code} ${one.reason}`);
          break;
        case 'binary':
        case 'pong':
          break;
      }
    }
  }
}

/** Publishes by `POST` over one keep-alive connection; requests may be pipelined (RFC 9112 §9.3.2). */
class HttpPublisher implements Publisher {
  inFlight = 0;
  readonly #socket: net.Socket;
  readonly #host: string;
  readonly #path: string;
  readonly #onAnswer: OnAnswer;
  #unread = '';

  private constructor(socket: net.Socket, { port, path }: PublishTarget, onAnswer: OnAnswer) {
    this.#socket = socket;
    this.#host = `127.0.0.1:${port}`;
    this.#path = path;
    this.#onAnswer = onAnswer;
    socket.on('data', (chunk) => this.#read(chunk.toString('latin1')));
  }

  static async open(target: PublishTarget, onAnswer: OnAnswer): Promise<HttpPublisher> {
    return new HttpPublisher(await connect(target.port), target, onAnswer);
  }

  publish(channel: string, payload: string): void {
    this.inFlight++;
    this.#socket.write(
      `POST ${this.#path.replace('{channel}', channel)} HTTP/1.1\r\nHost: ${this.#host}\r\n` +
        `Content-Type: text/plain\r\nContent-Length: ${payload.length}\r\n\r\n${payload}`,
    );
  }

  close(): void {
    this.#socket.resetAndDestroy();
  }

  #read(text: string): void {
    let unread = this.#unread + text;
    for (;;) {
      const headEnd = unread.indexOf('\r\n\r\n');
      if (headEnd < 0) break;
      const length = /\r\ncontent-length: *(\d+)/i.exec(unread.slice(0, headEnd));
      const end = headEnd + 4 + Number(length?.[1] ?? 0);
      if (unread.length < end) break;
      const status = Number(unread.slice(9, 12));
      unread = unread.slice(end);
      this.inFlight--;
      this.#onAnswer(status >= 200 && status < 300);
    }
    this.#unread = unread;
  }
}

/** Publishes over one MQTT connection. */
class MqttPublisher implements Publisher {
  readonly #socket: net.Socket;
  readonly #isAcknowledged: boolean;
  readonly #onAnswer: OnAnswer;
  #unanswered = 0;
  #lastPacketId = 0;
  readonly #packets = brokerPackets();
  #opening: PromiseWithResolvers<undefined> | undefined = Promise.withResolvers();

  private constructor(socket: net.Socket, { wire }: PublishTarget, onAnswer: OnAnswer) {
    this.#socket = socket;
    this.#isAcknowledged = wire === 'mqtt';
    this.#onAnswer = onAnswer;
  }

  static async open(target: PublishTarget, onAnswer: OnAnswer): Promise<MqttPublisher> {
    const socket = await connect(target.port);
    const publisher = new MqttPublisher(socket, target, onAnswer);
    socket.on('data', (bytes) => publisher.#read(bytes));
    socket.once('close', () => publisher.#opened(new Error('publisher: the server closed the connection')));
    socket.write(mqttConnect(`bench-publisher-${process.pid}-${++publishers}`, true, target.token));
    await publisher.#opening?.promise;
    return publisher;
  }

  /** Without acknowledgements, what the server has not taken yet is all there is to see of being too fast. */
  get inFlight(): number {
    if (this.#isAcknowledged) return this.#unanswered;
    return this.#socket.writableLength > unsentBytesMax ? Number.POSITIVE_INFINITY : 0;
  }

  publish(channel: string, payload: string): void {
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      setImmediate(() => this.#socket.uncork());
    }
    if (!this.#isAcknowledged) {
      this.#socket.write(mqttPublish(channel, payload, undefined));
      return;
    }
    this.#lastPacketId = (this.#lastPacketId % packetIdMax) + 1;
    this.#unanswered++;
    this.#socket.write(mqttPublish(channel, payload, this.#lastPacketId));
  }

  close(): void {
    this.#socket.resetAndDestroy();
  }

  #opened(failure?: Error): void {
    if (failure === undefined) this.#opening?.resolve(undefined);
    else this.#opening?.reject(failure);
    this.#opening = undefined;
  }

  #read(bytes: Buffer): void {
    this.#packets.push(bytes);
    for (let one = this.#packets.next(); one !== undefined; one = this.#packets.next()) {
      if (one.type === 'connack') {
        const { reasonCode } = one;
        this.#opened(reasonCode === 0 ? undefined : new Error(`publisher: CONNACK ${reasonCode}`));
      } else if (one.type === 'puback') {
        this.#unanswered--;
        this.#onAnswer(one.reasonCode === 0);
      } else if (one.type === 'fault') {
        console.error(`publisher: ${one.detail}`);
      }
    }
  }
}

/** Publishes over one STOMP connection over TCP, without receipts: what comes back is an ERROR. */
class StompPublisher implements Publisher {
  readonly #socket: net.Socket;
  readonly #path: string;

  private constructor(socket: net.Socket, path: string) {
    this.#socket = socket;
    this.#path = path;
  }

  static async open({ port, path }: PublishTarget, onAnswer: OnAnswer): Promise<StompPublisher> {
    const socket = await connect(port);
    const frames = new StompReader(stompBounds);
    const opening = Promise.withResolvers<undefined>();
    socket.on('data', (bytes) => {
      frames.push(bytes);
      for (let one = frames.next(); one !== undefined; one = frames.next()) {
        if (one.kind === 'frame' && one.frame.command === 'CONNECTED') {
          opening.resolve(undefined);
          continue;
        }
        const words = one.kind === 'fault' ? one.detail : one.frame.body.toString('latin1', 0, 200);
        opening.reject(new Error(`publisher: ${words}`));
        console.error(`publisher: ${words}`);
        onAnswer(false);
      }
    });
    socket.once('close', () => opening.reject(new Error('publisher: the server closed the connection')));
    socket.write(stompConnect);
    await opening.promise;
    return new StompPublisher(socket, path);
  }

  get inFlight(): number {
    return this.#socket.writableLength > unsentBytesMax ? Number.POSITIVE_INFINITY : 0;
  }

  publish(channel: string, payload: string): void {
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      setImmediate(() => this.#socket.uncork());
    }
    const destination = this.#path.replace('{channel}', channel);
    this.#socket.write(stompFrame('SEND', { destination, 'content-type': 'text/plain' }, payload));
  }

  close(): void {
    this.#socket.resetAndDestroy();
  }
}

/** What a broker answers: heads, and bodies of ERROR. */
const stompBounds = {
  headBytesMax: 65_536,
  headersMax: 1_000,
  lineBytesMax: 65_536,
  commandBytesMax: 64,
  bodyBytesMax: 1_000_000,
};
const packetIdMax = 0xffff;
const unsentBytesMax = 64 * 1024;
let publishers = 0;
