import type net from 'node:net';
import { connect } from './connect.ts';
import { readAnswers } from './http-answers.ts';
import type { OnAnswer, Publisher, PublishTarget } from './publishers.ts';

/** What one request of `http-batch` carries. */
const batchMessages = 100;

/** Publishes by `POST` over one keep-alive connection; requests may be pipelined (RFC 9112 §9.3.2). */
export class HttpPublisher implements Publisher {
  inFlight = 0;
  readonly messagesEach: number;
  readonly #socket: net.Socket;
  readonly #host: string;
  readonly #target: PublishTarget;

  private constructor(socket: net.Socket, target: PublishTarget, onAnswer: OnAnswer) {
    this.#socket = socket;
    this.#host = `127.0.0.1:${target.port}`;
    this.#target = target;
    this.messagesEach = target.wire === 'http-batch' ? batchMessages : 1;
    readAnswers(socket, ({ status }) => {
      this.inFlight--;
      onAnswer(status >= 200 && status < 300);
    });
  }

  static async open(target: PublishTarget, onAnswer: OnAnswer): Promise<HttpPublisher> {
    return new HttpPublisher(await connect(target.port), target, onAnswer);
  }

  publish(channel: string, payload: string): void {
    this.inFlight++;
    const { path, wire } = this.#target;
    const entry = { channel, data: payload, type: 'text/plain' };
    const body = wire === 'http-batch' ? JSON.stringify(new Array(batchMessages).fill(entry)) : payload;
    this.#socket.write(
      `POST ${path.replace('{channel}', channel)} HTTP/1.1\r\nHost: ${this.#host}\r\n` +
        `Content-Type: ${wire === 'http-batch' ? 'application/json' : 'text/plain'}\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`,
    );
  }

  close(): void {
    this.#socket.resetAndDestroy();
  }
}
