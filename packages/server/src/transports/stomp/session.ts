import { errorTable, EverywireError } from '@everywire/protocol';
import {
  versions,
  type Frame,
  type Headers,
  type Version,
  FrameReader,
  type FrameBounds,
  encodeError,
  encodeFrame,
} from '@everywire/wires/stomp';
import type { Identity } from '../../core/sessions/access.ts';
import type { Batch } from '../../core/log/batch.ts';
import { checkLogin } from '../../core/sessions/login.ts';
import type { CloseReason, Notice, Sink } from '../../core/seams/sink.ts';
import type { Published, Session } from '../../core/seams/session-api.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';
import type { Deadline, Deadlines } from '../../core/deadlines.ts';
import type { Link } from '../../net/link.ts';
import { parseCommand, type Acknowledge, type Command, type Connect } from './commands.ts';
import { parseDestination } from './destinations.ts';
import { Durables, type DurableOwner } from './durables.ts';
import type { ClientSubscription } from './client-subscription.ts';
import type { MessageFormats } from './message-formats.ts';
import { plainAnswer, Subscriptions, type Answer } from './subscriptions.ts';
import { sizeOf, Transactions } from './transactions.ts';
import type { StompHost } from './limits.ts';
import { CommandPacer } from '../parts/command-pacer.ts';
import { refusalOf } from '../parts/refusal.ts';

/** The shared state of the connections of one server. */
export interface StompShared {
  readonly host: StompHost;
  readonly formats: MessageFormats;
  readonly durables: Durables;
  /** The close code of WebSocket connections when the server drains. */
  readonly drainCode: number;
  /** When heart-beats are due. */
  readonly beats: Deadlines<StompConnection>;
  readonly beatBytes: Readonly<Record<'tcp' | 'websocket', Buffer>>;
  /** The connections by `DurableOwner`: a client id has one connection. */
  readonly byClient: Map<string, StompConnection>;
  /** The limits before the answer to CONNECT, and after it. */
  readonly firstBounds: FrameBounds;
  readonly bounds: FrameBounds;
}

/** A connection ends after silence of this many intervals: the network may be late, and so may the peer's timer. */
const slack = 2;
const goodbyeCode = 1000;
const noHeaders: Headers = [];

/** `connecting`: waits for CONNECT, or checks it · `leaving`: still answers received frames · `over`: answers nothing. */
type Stage = 'connecting' | 'connected' | 'leaving' | 'over';

/** One STOMP connection: its frames become calls on the hub's session, its deliveries MESSAGE frames. */
export class StompConnection implements Sink {
  readonly #shared: StompShared;
  readonly #link: Link<StompConnection>;
  readonly #reader: FrameReader;
  #stage: Stage = 'connecting';
  #version: Version = '1.0';
  #session: Session | undefined;
  #subject: string | undefined;
  #owner: DurableOwner | undefined;
  /** Set once it is connected. */
  #subscriptions: Subscriptions | undefined;
  #transactions: Transactions | undefined;
  readonly #pacer: CommandPacer;
  /** Reading continues after the microtasks that are due now. */
  #isYielding = false;
  /** How long the client may be silent; `undefined`: without limit. */
  #silenceMs: number | undefined;
  #isFrameWatched = false;
  #beatEveryMs = 0;
  #beat: Deadline | undefined;
  #hasSent = false;

  constructor(shared: StompShared, link: Link<StompConnection>) {
    this.#shared = shared;
    this.#link = link;
    this.#reader = new FrameReader(shared.firstBounds);
    this.#pacer = new CommandPacer(this, shared.host.limits);
    link.deadline(shared.host.limits.handshakeTimeoutMs);
  }

  receive(bytes: Buffer): void {
    if (this.#stage === 'leaving' || this.#stage === 'over') return;
    this.#reader.push(bytes);
    this.#read();
  }

  drained(): void {
    this.#session?.drained();
  }

  peerEnded(end: () => void): void {
    this.#pacer.whenIdle(end);
  }

  /** For the pacer. */
  pause(): void {
    this.#link.pause();
  }

  /** As above. */
  resume(): void {
    if (this.#stage !== 'connected') return;
    this.#link.resume();
    this.#read();
  }

  /** The connection is gone. */
  ended(): void {
    this.#stage = 'over';
    this.#reader.stop();
    this.#release();
  }

  /** The client sent nothing, or not enough, in time. */
  overdue(): void {
    // While the server works on its frames, it does not read from the client, so the client may not be silent.
    if (this.#stage === 'connected' && !this.#pacer.isIdle) {
      this.#link.deadline(this.#silenceMs ?? this.#shared.host.limits.handshakeTimeoutMs);
      return;
    }
    const detail =
      this.#stage === 'connecting'
        ? 'CONNECT did not arrive in time.'
        : 'A heart-beat, or the rest of a frame, did not arrive in time.';
    this.#fail(new EverywireError('timed_out', detail));
  }

  /** Called in every half of the agreed time. Any frame that was sent in it counts as a heart-beat. */
  beatDue(): void {
    if (this.#stage !== 'connected') return;
    if (!this.#hasSent) this.#link.send(this.#shared.beatBytes[this.#link.kind]);
    this.#hasSent = false;
    this.#beat?.restart(this.#beatEveryMs / 2);
  }

  /** Answers the received frames, sends ERROR `going_away`, and closes. */
  goAway(retryAfterMs: number): void {
    if (this.#stage === 'leaving' || this.#stage === 'over') return;
    this.#leave(() => {
      const error = new EverywireError(
        'going_away',
        'The server is stopping. Reconnect later, or to another server.',
        {
          retryAfterMs,
        },
      );
      this.#fail(error, undefined, { code: this.#shared.drainCode });
    });
  }

  deliver(batch: Batch, subscription: Subscription): boolean {
    this.#hasSent = true;
    return this.#subscriptions!.deliver(batch, subscription);
  }

  notify(notice: Notice): void {
    switch (notice.kind) {
      case 'gap':
        (notice.subscription.tag as ClientSubscription).addGap(notice.gap);
        break;
      case 'ended':
        this.#fail(notice.error ?? new EverywireError('going_away', 'The subscription has ended.'));
        break;
      case 'goaway':
        this.goAway(notice.retryAfterMs);
        break;
    }
  }

  close({ error }: CloseReason): void {
    this.#fail(error);
  }

  #read(): void {
    while (!this.#pacer.isBlocked && !this.#isYielding) {
      const received = this.#reader.next();
      if (received === undefined) break;
      if (received.kind === 'fault') {
        this.#fail(new EverywireError(received.code, received.detail), received.receipt);
        return;
      }
      this.#handle(received.frame);
    }
    this.#watch();
  }

  /** Limits the time for the rest of a started frame, and the silence of a client that promised heart-beats. */
  #watch(): void {
    if (this.#stage !== 'connected') return;
    const { handshakeTimeoutMs } = this.#shared.host.limits;
    const isInFrame = this.#reader.isInFrame;
    if (isInFrame) {
      this.#link.deadline(Math.min(handshakeTimeoutMs, this.#silenceMs ?? handshakeTimeoutMs));
    } else if (this.#silenceMs !== undefined || this.#isFrameWatched) {
      this.#link.deadline(this.#silenceMs);
    }
    this.#isFrameWatched = isInFrame;
  }

  #handle(frame: Frame): void {
    const receipt = frame.headers.get('receipt');
    try {
      const isConnect = frame.command === 'CONNECT' || frame.command === 'STOMP';
      if ((this.#stage === 'connecting') !== isConnect) {
        throw new EverywireError(
          'malformed',
          'The first frame must be CONNECT, and it must be the only CONNECT.',
        );
      }
      this.#run(parseCommand(frame, this.#version, this.#shared.host.limits), receipt);
    } catch (caught) {
      this.#refuse(caught, receipt);
    }
  }

  #run(command: Command, receipt: string | undefined): void {
    switch (command.op) {
      case 'connect':
        this.#connect(command);
        break;
      case 'send':
        this.#send(command, receipt);
        break;
      case 'subscribe':
        void this.#alone(receipt, () => this.#subscriptions!.subscribe(command));
        break;
      case 'unsubscribe':
        void this.#alone(receipt, () => this.#subscriptions!.unsubscribe(command));
        break;
      case 'ack':
      case 'nack':
        this.#acknowledge(command, receipt);
        break;
      case 'begin':
        this.#openTransactions.begin(command.transaction);
        this.#answer(receipt);
        break;
      case 'commit':
        void this.#alone(receipt, () => this.#commit(command.transaction));
        break;
      case 'abort':
        this.#openTransactions.end(command.transaction);
        this.#answer(receipt);
        break;
      case 'disconnect':
        this.#leave(() => {
          this.#answer(receipt);
          this.#stage = 'over';
          this.#release();
          this.#link.end(goodbyeCode);
        });
        break;
    }
  }

  #connect(connect: Connect): void {
    const { hub } = this.#shared.host;
    if (connect.version === undefined) {
      const error = new EverywireError(
        'unsupported',
        `Unsupported version. The server supports ${versions.join(', ')}.`,
      );
      this.#fail(error, undefined, { headers: [['version', versions.join(',')]] });
      return;
    }
    if (hub.isDraining)
      throw new EverywireError(
        'going_away',
        'The server is stopping. Reconnect later, or to another server.',
      );
    const { version, token } = connect;
    this.#pacer.hold();
    const { ticket, certificate, address, connection } = this.#link;
    hub
      .authenticate({ token, ticket, certificate, address, connection })
      .then((identity) => this.#admit(identity, connect, version))
      .catch((caught: unknown) => this.#refuse(caught, undefined));
  }

  #admit(identity: Identity, connect: Connect, version: Version): void {
    if (this.#stage !== 'connecting') return;
    checkLogin(identity, connect.login);
    const { host, byClient, bounds } = this.#shared;
    this.#stage = 'connected';
    this.#version = version;
    this.#reader.version = version;
    this.#reader.bounds = bounds;
    this.#link.trust();
    this.#link.deadline(undefined);
    // Without tokens, the login is the subject.
    this.#subject = identity.claims === undefined ? (identity.subject ?? connect.login) : identity.subject;
    if (connect.clientId !== undefined) {
      this.#owner = { subject: identity.subject, clientId: connect.clientId };
      const key = Durables.keyOf(this.#owner, '');
      byClient.get(key)?.close(taken());
      byClient.set(key, this);
    }
    const session = host.hub.open(identity, { transport: 'stomp', address: this.#link.address }, this);
    this.#session = session;
    this.#subscriptions = new Subscriptions({
      shared: this.#shared,
      session,
      link: this.#link,
      version,
      subject: this.#subject,
      owner: this.#owner,
      onTakenOver: () => this.close(taken()),
    });
    const heartBeat = this.#agreeOnBeats(connect);
    this.#link.answer(
      encodeFrame(
        'CONNECTED',
        [
          ['version', version],
          ['server', 'Everywire'],
          ['session', host.random.hex(16)],
          ['heart-beat', heartBeat],
          ...(identity.subject === undefined ? [] : [['user-name', identity.subject] as const]),
        ],
        version,
      ),
    );
    this.#pacer.release();
  }

  /** Agrees on the heart-beat intervals that the client asks for, within limits; 0 means no heart-beats. */
  #agreeOnBeats({ sendsEveryMs, wantsEveryMs }: Connect): string {
    if (this.#version === '1.0') return '0,0';
    const { stompBeatMsMin, stompBeatMsMax } = this.#shared.host.limits;
    const agree = (askedMs: number): number =>
      askedMs === 0 ? 0 : Math.min(Math.max(askedMs, stompBeatMsMin), stompBeatMsMax);
    const heardEveryMs = agree(sendsEveryMs);
    this.#beatEveryMs = agree(wantsEveryMs);
    if (heardEveryMs > 0) this.#silenceMs = heardEveryMs * slack;
    if (this.#beatEveryMs > 0) this.#beat = this.#shared.beats.start(this, this.#beatEveryMs / 2);
    return `${this.#beatEveryMs},${heardEveryMs}`;
  }

  #send(command: Command & { op: 'send' }, receipt: string | undefined): void {
    const { name } = parseDestination(command.destination, this.#subject);
    const session = this.#session!;
    const entry = { channel: name, draft: command.draft };
    if (command.transaction !== undefined) {
      session.checkPublish(name, command.draft);
      this.#openTransactions.addEntry(command.transaction, entry, receipt);
      return;
    }
    const bytes = sizeOf(entry);
    this.#pacer.begin(bytes);
    session.publish(name, command.draft).then(
      (published) => {
        this.#answer(receipt, publishedHeaders(published));
        this.#pacer.end(bytes);
      },
      (caught: unknown) => {
        this.#refuse(caught, receipt);
        this.#pacer.end(bytes);
      },
    );
    // Slows the client down: a refusal would end the connection, and all commands in progress on it.
    this.#pacer.holdWhile(() => session.publishWaitMs, this.#shared.host.clock);
    // An immediate refusal is known one microtask from now, and the server must then ignore the later frames.
    this.#isYielding = true;
    queueMicrotask(() => {
      this.#isYielding = false;
      if (this.#stage === 'connected') this.#read();
    });
  }

  async #commit(name: string): Promise<Answer> {
    const { entries, acknowledgements, receipts } = this.#openTransactions.end(name);
    if (entries.length > 0) {
      const results = await this.#session!.publishAll(entries, { atomic: true });
      const refusal = results.find((result) => result instanceof EverywireError);
      if (refusal !== undefined) throw refusal;
    }
    for (const acknowledge of acknowledgements) acknowledge();
    for (const receipt of receipts) this.#answer(receipt);
    return plainAnswer;
  }

  #acknowledge(command: Acknowledge, receipt: string | undefined): void {
    const settle = this.#subscriptions!.acknowledge(command);
    if (command.transaction !== undefined) {
      this.#openTransactions.addAcknowledgement(command.transaction, settle, receipt);
      return;
    }
    settle();
    this.#answer(receipt);
  }

  get #openTransactions(): Transactions {
    return (this.#transactions ??= new Transactions(this.#shared.host.limits));
  }

  /**
   * Later frames may depend on this one, so they wait for it. It also waits for the earlier frames: a subscription that
   * starts now must not receive messages that the client sent before SUBSCRIBE.
   */
  async #alone(receipt: string | undefined, work: () => Promise<Answer>): Promise<void> {
    await this.#pacer.alone(async () => {
      // The connection may have ended during the wait.
      if (this.#session === undefined) return;
      let answer: Answer | undefined;
      this.#pacer.begin();
      try {
        answer = await work();
        this.#answer(receipt, answer.headers);
      } catch (caught) {
        this.#refuse(caught, receipt);
      }
      this.#pacer.end();
      answer?.start?.();
    });
  }

  #answer(receipt: string | undefined, headers: Headers = noHeaders): void {
    if (receipt === undefined || this.#stage === 'over') return;
    this.#hasSent = true;
    this.#link.answer(encodeFrame('RECEIPT', [['receipt-id', receipt], ...headers], this.#version));
  }

  /** Reads nothing more, and calls `then` when all earlier frames are answered. */
  #leave(then: () => void): void {
    this.#stage = 'leaving';
    this.#reader.stop();
    this.#pacer.whenIdle(() => {
      if (this.#stage === 'leaving') then();
    });
  }

  #refuse(caught: unknown, receipt: string | undefined): void {
    this.#fail(refusalOf(caught, this.#shared.host.log, 'a STOMP frame failed'), receipt);
  }

  /** Sends ERROR and closes the connection, as STOMP requires. */
  #fail(
    error: EverywireError,
    receipt?: string,
    { code, headers }: { readonly code?: number; readonly headers?: Headers } = {},
  ): void {
    if (this.#stage === 'over') return;
    this.#stage = 'over';
    this.#reader.stop();
    this.#link.answer(encodeError(error, { version: this.#version, receipt, headers }));
    this.#release();
    this.#link.end(code ?? errorTable[error.code].close, error.code);
  }

  #release(): void {
    const session = this.#session;
    this.#beat?.cancel();
    this.#subscriptions?.end();
    if (this.#owner !== undefined) {
      const { byClient } = this.#shared;
      const key = Durables.keyOf(this.#owner, '');
      if (byClient.get(key) === this) byClient.delete(key);
    }
    this.#session = undefined;
    // All subscriptions at once: a message that one consumer gives back must not go to another one of the same
    // connection.
    session?.end();
  }
}

function taken(): CloseReason {
  return { error: new EverywireError('session_taken', 'Another connection uses this client-id now.') };
}

function publishedHeaders({ offset, cursor, id, duplicate }: Published): Headers {
  return [
    ['offset', String(offset)],
    ['cursor', cursor],
    ['everywire-id', id],
    ...(duplicate ? [['duplicate', 'true'] as const] : []),
  ];
}
