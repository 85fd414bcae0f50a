import type net from 'node:net';
import { nowUs } from '../clock.ts';
import { Histogram, type LatencySummary } from '../histogram.ts';
import { payloadMarker, readDigits, seqAt, seqDigits, timeAt, timeDigits } from '../payload.ts';
import { connect } from './connect.ts';
import { readAnswers, type HttpAnswer } from './http-answers.ts';

export interface PollPlan {
  readonly port: number;
  /** With its query. `{cursor}` is where the place of the last answer goes. */
  readonly path: string;
  /** The request fields that carry the place: of nchan, a date and an entity tag; absent: the place is in the path. */
  readonly placeFields?: boolean | undefined;
  /** Fields that every request has. */
  readonly fields?: string | undefined;
  readonly connections: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
  /** Payloads are timed, and each must have the number behind the one before. */
  readonly isFollowing: boolean;
}

export interface PollReport {
  readonly answers: number;
  readonly messages: number;
  readonly refused: number;
  /** Messages that did not have the number behind the one before. */
  readonly violations: number;
  readonly elapsedMs: number;
  readonly latency: LatencySummary;
}

/** Polls on many connections at once: each answer sends that connection's next request. */
export async function poll(plan: PollPlan): Promise<PollReport> {
  const sums = { answers: 0, messages: 0, refused: 0, violations: 0 };
  const latency = new Histogram();
  const pollers = await Promise.all(
    Array.from({ length: plan.connections }, async () => {
      const socket = await connect(plan.port);
      return new Poller(socket, plan, sums, latency);
    }),
  );
  for (const poller of pollers) poller.ask();
  await new Promise((resolve) => setTimeout(resolve, plan.warmUpMs));
  Object.assign(sums, { answers: 0, messages: 0, refused: 0, violations: 0 });
  latency.reset();
  const startedMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, plan.durationMs));
  const report = { ...sums, elapsedMs: performance.now() - startedMs, latency: latency.summary() };
  for (const poller of pollers) poller.close();
  return report;
}

type Sums = Record<'answers' | 'messages' | 'refused' | 'violations', number>;

class Poller {
  readonly #socket: net.Socket;
  readonly #plan: PollPlan;
  readonly #sums: Sums;
  readonly #latency: Histogram;
  #cursor: string | undefined;
  #fields = '';
  #lastSeq = -1;
  #askedUs = 0;

  constructor(socket: net.Socket, plan: PollPlan, sums: Sums, latency: Histogram) {
    this.#socket = socket;
    this.#plan = plan;
    this.#sums = sums;
    this.#latency = latency;
    readAnswers(socket, (answer) => this.#answered(answer));
  }

  ask(): void {
    const { port, path, fields = '' } = this.#plan;
    // Before the first answer there is no place: the first request is of the newest.
    const target =
      this.#cursor === undefined
        ? path.replace(/[?&][^?&]*\{cursor\}/, '')
        : path.replace('{cursor}', this.#cursor);
    this.#askedUs = nowUs();
    this.#socket.write(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${fields}${this.#fields}\r\n`);
  }

  close(): void {
    this.#socket.resetAndDestroy();
  }

  #answered({ status, head, body }: HttpAnswer): void {
    const sums = this.#sums;
    if (status === 200 || status === 304) sums.answers++;
    else sums.refused++;
    this.#cursor = /\r\neverywire-cursor: *([^\r]+)/i.exec(head)?.[1] ?? this.#cursor;
    if (this.#plan.placeFields === true) {
      const date = /\r\nlast-modified: *([^\r]+)/i.exec(head)?.[1];
      const tag = /\r\netag: *([^\r]+)/i.exec(head)?.[1];
      this.#fields = `If-Modified-Since: ${date}\r\nIf-None-Match: ${tag}\r\n`;
    }
    if (this.#plan.isFollowing) this.#follow(body);
    else this.#latency.add(nowUs() - this.#askedUs);
    this.ask();
  }

  #follow(text: string): void {
    const bytes = Buffer.from(text, 'latin1');
    const now = nowUs();
    for (let at = bytes.indexOf(payloadMarker); at >= 0; at = bytes.indexOf(payloadMarker, at + 1)) {
      const seq = readDigits(bytes, at + seqAt, seqDigits);
      if (this.#lastSeq >= 0 && seq !== this.#lastSeq + 1) this.#sums.violations++;
      this.#lastSeq = seq;
      this.#sums.messages++;
      this.#latency.add(now - readDigits(bytes, at + timeAt, timeDigits));
    }
  }
}
