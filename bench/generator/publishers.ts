import { everywireProtocol } from '@everywire/protocol/everywire-v1';
import { FrameReader as StompReader } from '@everywire/wires/stomp';
import { opcodes } from '@everywire/wires/websocket';
import type net from 'node:net';
import { connect } from './connect.ts';
import { GrpcPublisher } from './grpc-publisher.ts';
import { clientFrame, serverFrames, upgradeRequest } from './handshakes.ts';
import { HttpPublisher } from './http-publisher.ts';
import { brokerPackets, mqttConnect, mqttPublish } from './mqtt.ts';
import { stompConnect, stompFrame } from './stomp.ts';

/** Where and how to publish. `path` has `{channel}` where the channel's name goes. */
export interface PublishTarget {
  /**
   * `http` is a `POST` for each message and `http-batch` one for a hundred; `mqtt` is QoS 1 and `mqtt-qos0` has no
   * acknowledgement; `stomp` asks for no receipt and `stomp-receipt` does; `grpc` is a unary call.
   */
  readonly wire:
    'everywire.v1' | 'http' | 'http-batch' | 'grpc' | 'mqtt' | 'mqtt-qos0' | 'stomp' | 'stomp-receipt';
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
  /** Messages that one publish carries. */
  readonly messagesEach?: number;
  publish(channel: string, payload: string): void;
  close(): void;
}

export function openPublisher(target: PublishTarget, onAnswer: OnAnswer): Promise<Publisher> {
  switch (target.wire) {
    case 'http':
    case 'http-batch':
      return HttpPublisher.open(target, onAnswer);
    case 'grpc':
      return GrpcPublisher.open(target, onAnswer);
    case 'everywire.v1':
      return FramePublisher.open(target, onAnswer);
    case 'mqtt':
    case 'mqtt-qos0':
      return MqttPublisher.open(target, onAnswer);
    case 'stomp':
    case 'stomp-receipt':
      return StompPublisher.open(target, onAnswer);
  }
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

  /** Without acknowledgements, the unsent bytes are the only sign that this publisher is too fast. */
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

/** Publishes over one STOMP connection over TCP. Without receipts, an ERROR is all that can come back. */
class StompPublisher implements Publisher {
  readonly #socket: net.Socket;
  readonly #path: string;
  readonly #hasReceipts: boolean;
  readonly #onAnswer: OnAnswer;
  readonly #frames = new StompReader(stompBounds);
  readonly #opening = Promise.withResolvers<undefined>();
  #unanswered = 0;

  private constructor(socket: net.Socket, { path, wire }: PublishTarget, onAnswer: OnAnswer) {
    this.#socket = socket;
    this.#path = path;
    this.#hasReceipts = wire === 'stomp-receipt';
    this.#onAnswer = onAnswer;
  }

  static async open(target: PublishTarget, onAnswer: OnAnswer): Promise<StompPublisher> {
    const socket = await connect(target.port);
    const publisher = new StompPublisher(socket, target, onAnswer);
    socket.on('data', (bytes) => publisher.#read(bytes));
    socket.once('close', () =>
      publisher.#opening.reject(new Error('publisher: the server closed the connection')),
    );
    socket.write(stompConnect);
    await publisher.#opening.promise;
    return publisher;
  }

  get inFlight(): number {
    if (this.#hasReceipts) return this.#unanswered;
    return this.#socket.writableLength > unsentBytesMax ? Number.POSITIVE_INFINITY : 0;
  }

  publish(channel: string, payload: string): void {
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      setImmediate(() => this.#socket.uncork());
    }
    const destination = this.#path.replace('{channel}', channel);
    const headers = { destination, 'content-type': 'text/plain' };
    this.#unanswered++;
    this.#socket.write(
      stompFrame('SEND', this.#hasReceipts ? { ...headers, receipt: 'r' } : headers, payload),
    );
  }

  close(): void {
    this.#socket.resetAndDestroy();
  }

  #read(bytes: Buffer): void {
    this.#frames.push(bytes);
    for (let one = this.#frames.next(); one !== undefined; one = this.#frames.next()) {
      if (one.kind === 'frame' && one.frame.command === 'CONNECTED') {
        this.#opening.resolve(undefined);
      } else if (one.kind === 'frame' && one.frame.command === 'RECEIPT') {
        this.#unanswered--;
        this.#onAnswer(true);
      } else {
        const words = one.kind === 'fault' ? one.detail : one.frame.body.toString('latin1', 0, 200);
        this.#opening.reject(new Error(`publisher: ${words}`));
        console.error(`publisher: ${words}`);
        this.#onAnswer(false);
      }
    }
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
