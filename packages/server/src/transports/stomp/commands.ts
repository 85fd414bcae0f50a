import { EverywireError, parseDurationMs } from '@everywire/protocol';
import { versions, type Frame, type Version, isReserved } from '@everywire/wires/stomp';
import type { StompLimits } from './limits.ts';
import type { PublishDraft } from '../../core/seams/session-api.ts';

export type AckMode = 'auto' | 'client' | 'client-individual';

export interface Connect {
  readonly op: 'connect';
  /** The newest version that both sides support; `undefined`: there is no such version. */
  readonly version: Version | undefined;
  readonly token: string | undefined;
  readonly login: string | undefined;
  readonly clientId: string | undefined;
  /** The heart-beat intervals that the client can send and wants to receive, in milliseconds; 0: none. */
  readonly sendsEveryMs: number;
  readonly wantsEveryMs: number;
}

export interface Send {
  readonly op: 'send';
  readonly destination: string;
  readonly transaction: string | undefined;
  readonly draft: PublishDraft;
}

export interface Subscribe {
  readonly op: 'subscribe';
  /** Always present, except in 1.0. */
  readonly id: string | undefined;
  readonly destination: string;
  readonly ack: AckMode;
  readonly after: string | undefined;
  readonly since: string | undefined;
  readonly windowMessages: number;
  /** The name under which the server keeps its position; `undefined`: it does not. */
  readonly durableName: string | undefined;
  /** For a queue: the queue is deleted with its last consumer. */
  readonly autoDelete: boolean;
}

export interface Unsubscribe {
  readonly op: 'unsubscribe';
  readonly id: string | undefined;
  readonly destination: string | undefined;
  /** The position under this name is deleted too. */
  readonly durableName: string | undefined;
}

export interface Acknowledge {
  readonly op: 'ack' | 'nack';
  /** 1.2: the value of `ack` in the MESSAGE. */
  readonly id: string | undefined;
  /** Earlier versions: the subscription (optional in 1.0) and the message. */
  readonly subscription: string | undefined;
  readonly messageId: string | undefined;
  readonly transaction: string | undefined;
  /** NACK: false discards the message, as clients of RabbitMQ expect. */
  readonly isRequeued: boolean;
}

export type Command =
  | Connect
  | Send
  | Subscribe
  | Unsubscribe
  | Acknowledge
  | { readonly op: 'begin' | 'commit' | 'abort'; readonly transaction: string }
  | { readonly op: 'disconnect' };

/** Headers of SEND that are instructions, in addition to the reserved ones. */
const instructions: ReadonlySet<string> = new Set(['key', 'idempotency-key', 'retain', 'ttl', 'persistent']);

/**
 * Reads a command of a client. `version` is the agreed version: only some versions require some headers.
 * @throws EverywireError
 */
export function parseCommand(
  { command, headers, body }: Frame,
  version: Version,
  limits: StompLimits,
): Command {
  const isConnect = command === 'CONNECT' || command === 'STOMP';
  // Simple clients, and the tests of RabbitMQ, end CONNECT with one more line.
  if (body.length > 0 && command !== 'SEND' && !(isConnect && /^[\r\n]*$/.test(body.toString('latin1')))) {
    throw new EverywireError('malformed', `${command} must not have a body.`);
  }
  const fields = new Fields(headers, limits);
  switch (command) {
    case 'CONNECT':
    case 'STOMP':
      return readConnect(fields);
    case 'SEND':
      return readSend(fields, headers, body);
    case 'SUBSCRIBE':
      return readSubscribe(fields, version, limits);
    case 'UNSUBSCRIBE':
      return readUnsubscribe(fields, version);
    case 'ACK':
    case 'NACK':
      return readAcknowledge(command === 'ACK' ? 'ack' : 'nack', fields, version);
    case 'BEGIN':
      return { op: 'begin', transaction: fields.id('transaction') };
    case 'COMMIT':
      return { op: 'commit', transaction: fields.id('transaction') };
    case 'ABORT':
      return { op: 'abort', transaction: fields.id('transaction') };
    case 'DISCONNECT':
      return { op: 'disconnect' };
    default:
      throw new EverywireError('malformed', 'Unknown STOMP command.');
  }
}

function readConnect(fields: Fields): Connect {
  const asked = fields.text('accept-version')?.split(',') ?? ['1.0'];
  const offered = new Set(asked.map((one) => one.trim()));
  const passcode = fields.text('passcode');
  const bearer = /^Bearer +(\S+)$/i.exec(fields.text('Authorization') ?? '')?.[1];
  const [sendsEveryMs, wantsEveryMs] = readHeartBeat(fields.text('heart-beat') ?? '0,0');
  return {
    op: 'connect',
    version: versions.findLast((version) => offered.has(version)),
    token: passcode === '' ? bearer : (passcode ?? bearer),
    login: fields.text('login'),
    clientId: fields.optionalId('client-id'),
    sendsEveryMs,
    wantsEveryMs,
  };
}

function readHeartBeat(text: string): readonly [number, number] {
  const match = /^\s*(\d{1,15})\s*,\s*(\d{1,15})\s*$/.exec(text);
  if (match === null) {
    throw new EverywireError(
      'malformed',
      'heart-beat must be two whole numbers of milliseconds, separated by a comma.',
    );
  }
  return [Number(match[1]), Number(match[2])];
}

function readSend(fields: Fields, headers: ReadonlyMap<string, string>, body: Buffer): Send {
  const own = [...headers].filter(([name]) => !isReserved(name) && !instructions.has(name));
  return {
    op: 'send',
    destination: fields.required('destination'),
    transaction: fields.optionalId('transaction'),
    draft: {
      // A copy: the message lives long, and the bytes may share memory with a larger chunk.
      payload: Buffer.from(body),
      type: fields.text('content-type'),
      event: fields.text('event'),
      headers: own.length === 0 ? undefined : new Map(own),
      key: fields.text('key') ?? fields.text('idempotency-key'),
      retain: fields.flag('retain'),
      ttlMs: fields.durationMs('ttl'),
    },
  };
}

function readSubscribe(fields: Fields, version: Version, limits: StompLimits): Subscribe {
  if (fields.text('selector') !== undefined) {
    throw new EverywireError(
      'unsupported',
      'Selectors are not supported. Use channels, and filters with * and **.',
    );
  }
  const id = version === '1.0' ? fields.optionalId('id') : fields.id('id');
  const ack = fields.text('ack') ?? 'auto';
  if (ack !== 'auto' && ack !== 'client' && ack !== 'client-individual') {
    throw new EverywireError('invalid', 'ack must be auto, client or client-individual.');
  }
  const destination = fields.required('destination');
  if (otherWildcard.test(destination)) {
    throw new EverywireError(
      'bad_name',
      'Levels are separated by a slash; * matches one level, and ** (or #) all that follow: /topic/a/*/b, /topic/a/**.',
    );
  }
  return {
    op: 'subscribe',
    id,
    destination,
    ack,
    after: fields.text('after'),
    since: fields.text('since'),
    windowMessages: fields.windowMessages(limits),
    durableName: fields.durableName(id),
    autoDelete: fields.flag('auto-delete') ?? false,
  };
}

/** Those of ActiveMQ and RabbitMQ, with dots between levels: they would match nothing here, without a word. */
const otherWildcard = /(?:^|[./])>$|\.[*#](?:[./]|$)|(?:^|\/)[*#]\./;

function readUnsubscribe(fields: Fields, version: Version): Unsubscribe {
  const destination = fields.text('destination');
  // The name alone may delete a durable subscription that is not in use.
  const isNamed = fields.explicitDurableName() !== undefined;
  const id = version === '1.0' || isNamed ? fields.optionalId('id') : fields.id('id');
  if (id === undefined && destination === undefined && !isNamed) {
    throw new EverywireError('malformed', 'UNSUBSCRIBE must have an id or a destination.');
  }
  return { op: 'unsubscribe', id, destination, durableName: fields.durableName(id) };
}

function readAcknowledge(op: 'ack' | 'nack', fields: Fields, version: Version): Acknowledge {
  const is12 = version === '1.2';
  return {
    op,
    id: is12 ? fields.required('id') : undefined,
    subscription: version === '1.1' ? fields.id('subscription') : fields.optionalId('subscription'),
    messageId: is12 ? undefined : fields.required('message-id'),
    transaction: fields.optionalId('transaction'),
    isRequeued: fields.flag('requeue') ?? true,
  };
}

const messageWindows = [
  'prefetch-count',
  'activemq.prefetchSize',
  'prefetch',
  'prefetch-size',
  'x-prefetch-count',
];
/** Those of Artemis. */
const byteWindows = ['consumer-window-size', 'consumerWindowSize'];

/** Reads headers of a frame, and makes the errors for missing or invalid ones. */
class Fields {
  readonly #headers: ReadonlyMap<string, string>;
  readonly #limits: StompLimits;

  constructor(headers: ReadonlyMap<string, string>, limits: StompLimits) {
    this.#headers = headers;
    this.#limits = limits;
  }

  text(name: string): string | undefined {
    return this.#headers.get(name);
  }

  required(name: string): string {
    const value = this.#headers.get(name);
    if (value === undefined || value === '') {
      throw new EverywireError('malformed', `The frame needs the header ${name}.`);
    }
    return value;
  }

  /** An id that the client chooses, and that the server stores. */
  id(name: string): string {
    const value = this.required(name);
    if (Buffer.byteLength(value) > this.#limits.stompIdBytesMax) {
      throw new EverywireError('too_large', `${name} has at most ${this.#limits.stompIdBytesMax} bytes.`);
    }
    return value;
  }

  optionalId(name: string): string | undefined {
    return this.#headers.has(name) ? this.id(name) : undefined;
  }

  flag(name: string): boolean | undefined {
    const value = this.#headers.get(name);
    if (value === undefined) return undefined;
    // Python's clients write True and False.
    const word = value.toLowerCase();
    if (word === 'true' || word === 'false') return word === 'true';
    throw new EverywireError('invalid', `${name} must be true or false.`);
  }

  durationMs(name: string): number | undefined {
    const value = this.#headers.get(name);
    if (value === undefined) return undefined;
    const durationMs = parseDurationMs(value);
    if (durationMs !== undefined) return durationMs;
    throw new EverywireError('invalid', `${name} must be seconds, or a length of time such as 5m.`);
  }

  /** RabbitMQ's `prefetch-count`, or what it is called elsewhere; 0 and larger values mean the maximum. */
  windowMessages({ stompWindowMessagesDefault, stompWindowMessagesMax }: StompLimits): number {
    const inBytes = byteWindows.find((name) => this.text(name) !== undefined);
    if (inBytes !== undefined) {
      throw new EverywireError(
        'unsupported',
        `${inBytes} counts bytes; use prefetch-count, which counts messages.`,
      );
    }
    const name = messageWindows.find((one) => this.text(one) !== undefined);
    if (name === undefined) return stompWindowMessagesDefault;
    const value = this.text(name)!;
    if (!/^\d{1,9}$/.test(value)) throw new EverywireError('invalid', `${name} must be a whole number.`);
    return Number(value) === 0 ? stompWindowMessagesMax : Math.min(Number(value), stompWindowMessagesMax);
  }

  /**
   * `durable:true` (or the older `persistent:true`) as in RabbitMQ, where the subscription's id is the name; or a name
   * as in ActiveMQ and Artemis.
   */
  durableName(id: string | undefined): string | undefined {
    const name = this.explicitDurableName();
    if (name !== undefined || (this.flag('durable') ?? this.flag('persistent')) !== true) return name;
    if (id !== undefined) return id;
    throw new EverywireError('malformed', 'A durable subscription must have an id, which is its name.');
  }

  explicitDurableName(): string | undefined {
    return this.optionalId('activemq.subscriptionName') ?? this.optionalId('durable-subscription-name');
  }
}
