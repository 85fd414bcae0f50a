import { Agent, request } from 'node:http';
import type { Receipt } from '@everywire/protocol';
import { WebSocket } from 'ws';

export interface Outgoing {
  readonly channel: string;
  readonly value: string;
  /** The publish id; a wire that has no place for one leaves it out. */
  readonly key: string;
}

/** `undefined`: no answer came, and it may have been stored or not. */
export type PublishAnswer = Receipt | { readonly refused: string } | undefined;

/** One publisher's connection to the server. The publisher opens a new one if it has none. */
export interface PublishWire {
  readonly name: string;
  /** Whether repeating is safe: the wire carries a publish id and answers. */
  readonly isAnswered: boolean;
  publish(http: string, messages: readonly Outgoing[]): Promise<readonly PublishAnswer[]>;
  close(): void;
}

/** How long a publisher waits for an answer of a server that may have been killed. */
const answerTimeoutMs = 10_000;

interface Answered {
  readonly status: number;
  readonly body: unknown;
}

function send(
  agent: Agent,
  url: string,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<Answered | undefined> {
  return new Promise((resolve) => {
    const sent = request(url, { method: 'POST', agent, headers, timeout: answerTimeoutMs });
    sent.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve({ status: response.statusCode!, body: JSON.parse(text) }));
      response.on('error', () => resolve(undefined));
    });
    sent.on('timeout', () => sent.destroy());
    sent.on('error', () => resolve(undefined));
    sent.end(body);
  });
}

/** Only a definite error is a refusal: the publisher repeats a publish that met a starting or stopping server. */
function answerOf(answered: Answered | undefined): PublishAnswer {
  if (answered === undefined || answered.status >= 500) return undefined;
  return answered.status < 300 ? (answered.body as Receipt) : { refused: JSON.stringify(answered.body) };
}

export function postOne(): PublishWire {
  const agent = new Agent({ keepAlive: true });
  return {
    name: 'POST /channels',
    isAnswered: true,
    publish: (http, messages) =>
      Promise.all(
        messages.map(async ({ channel, value, key }) => {
          const headers = { 'content-type': 'text/plain', 'idempotency-key': key };
          return answerOf(await send(agent, `${http}/channels/${channel}`, headers, value));
        }),
      ),
    close: () => agent.destroy(),
  };
}

export function postMany(): PublishWire {
  const agent = new Agent({ keepAlive: true });
  return {
    name: 'POST /publish',
    isAnswered: true,
    async publish(http, messages) {
      const entries = messages.map(({ channel, value, key }) => ({
        channel,
        data: value,
        type: 'text/plain',
        key,
      }));
      const headers = { 'content-type': 'application/json' };
      const answered = await send(agent, `${http}/publish`, headers, JSON.stringify(entries));
      if (answered?.status !== 200) return messages.map(() => answerOf(answered));
      return (answered.body as readonly (Receipt | { readonly code: string })[]).map((one) =>
        'cursor' in one ? one : { refused: JSON.stringify(one) },
      );
    },
    close: () => agent.destroy(),
  };
}

/** Frames of a raw connection are published and not answered. */
export function rawWebSocket(): PublishWire {
  let peer: WebSocket | undefined;
  let opened: Promise<void> | undefined;
  return {
    name: 'WebSocket raw',
    isAnswered: false,
    async publish(http, messages) {
      const url = `${http.replace(/^http/, 'ws')}/channels/${messages[0]!.channel}`;
      if (peer === undefined || peer.readyState > WebSocket.OPEN || peer.url !== url) {
        peer?.terminate();
        peer = new WebSocket(url);
        opened = untilOpen(peer);
      }
      await opened;
      for (const { value } of messages) if (peer.readyState === WebSocket.OPEN) peer.send(value);
      return messages.map(() => undefined);
    },
    close: () => peer?.terminate(),
  };
}

export function everywireV1(): PublishWire {
  let peer: WebSocket | undefined;
  let opened: Promise<void> | undefined;
  let nextId = 1;
  const waiting = new Map<number, (answer: PublishAnswer) => void>();
  const connect = (http: string): WebSocket => {
    const made = new WebSocket(`${http.replace(/^http/, 'ws')}/ws`, ['everywire.v1']);
    opened = untilOpen(made);
    made.on('message', (data: Buffer) => {
      const answer = JSON.parse(data.toString()) as {
        readonly id?: number;
        readonly ok?: boolean;
        readonly error?: { readonly code: string };
      };
      const resolve = answer.id === undefined ? undefined : waiting.get(answer.id);
      if (resolve === undefined) return;
      waiting.delete(answer.id!);
      if (answer.ok === true) resolve(answer as unknown as Receipt);
      else
        resolve(answer.error?.code === 'going_away' ? undefined : { refused: JSON.stringify(answer.error) });
    });
    made.on('close', () => {
      for (const resolve of waiting.values()) resolve(undefined);
      waiting.clear();
    });
    return made;
  };
  return {
    name: 'everywire.v1',
    isAnswered: true,
    async publish(http, messages) {
      if (peer === undefined || peer.readyState > WebSocket.OPEN) peer = connect(http);
      await opened;
      const { readyState } = peer;
      if (readyState !== WebSocket.OPEN) return messages.map(() => undefined);
      return Promise.all(
        messages.map(({ channel, value, key }) => {
          const id = nextId;
          nextId += 1;
          peer!.send(JSON.stringify({ id, op: 'publish', channel, type: 'text/plain', data: value, key }));
          return new Promise<PublishAnswer>((resolve) => waiting.set(id, resolve));
        }),
      );
    },
    close: () => peer?.terminate(),
  };
}

/** Resolves when the socket is open, and also when it failed. */
function untilOpen(peer: WebSocket): Promise<void> {
  return new Promise((resolve) => {
    peer.on('open', () => resolve());
    peer.on('error', () => resolve());
    peer.on('close', () => resolve());
  });
}
