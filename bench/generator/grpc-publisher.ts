import { create, toBinary } from '@bufbuild/protobuf';
import { PublishRequestSchema } from '@everywire/wires/grpc/generated/everywire/v1/messaging_pb.js';
import type net from 'node:net';
import { connect } from './connect.ts';
import { call, callHeaders, flags, frameTypes, opening } from './grpc.ts';
import type { OnAnswer, Publisher, PublishTarget } from './publishers.ts';

const frameHeadBytes = 9;

/** Publishes by unary calls over one HTTP/2 connection. Answers may come in any order. */
export class GrpcPublisher implements Publisher {
  inFlight = 0;
  readonly #socket: net.Socket;
  readonly #headers: Buffer;
  readonly #onAnswer: OnAnswer;
  /** Calls that have got a message: one without is refused. */
  readonly #answered = new Set<number>();
  #lastStream = -1;
  #unread: Buffer = Buffer.alloc(0);

  private constructor(socket: net.Socket, { port, path }: PublishTarget, onAnswer: OnAnswer) {
    this.#socket = socket;
    this.#headers = callHeaders(`127.0.0.1:${port}`, path);
    this.#onAnswer = onAnswer;
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.write(opening());
  }

  static async open(target: PublishTarget, onAnswer: OnAnswer): Promise<GrpcPublisher> {
    return new GrpcPublisher(await connect(target.port), target, onAnswer);
  }

  publish(channel: string, payload: string): void {
    if (this.#socket.writableCorked === 0) {
      this.#socket.cork();
      setImmediate(() => this.#socket.uncork());
    }
    this.inFlight++;
    this.#lastStream += 2;
    const draft = { channel, data: Buffer.from(payload), type: 'text/plain' };
    const message = toBinary(PublishRequestSchema, create(PublishRequestSchema, draft));
    this.#socket.write(call(this.#lastStream, this.#headers, message));
  }

  close(): void {
    this.#socket.resetAndDestroy();
  }

  #read(bytes: Buffer): void {
    const unread = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes]);
    let at = 0;
    while (unread.length - at >= frameHeadBytes) {
      const end = at + frameHeadBytes + unread.readUIntBE(at, 3);
      if (unread.length < end) break;
      this.#take(unread[at + 3]!, unread[at + 4]!, unread.readUInt32BE(at + 5));
      at = end;
    }
    this.#unread = unread.subarray(at);
  }

  #take(type: number, flag: number, stream: number): void {
    if (type === frameTypes.data) this.#answered.add(stream);
    if (type !== frameTypes.headers || (flag & flags.endStream) === 0) return;
    this.inFlight--;
    this.#onAnswer(this.#answered.delete(stream));
  }
}
