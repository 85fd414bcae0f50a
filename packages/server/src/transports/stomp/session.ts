import { errorTable, EverywireError, parseFrom } from '@everywire/protocol';
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
import type { SubscribeOptions, Subscription } from '../../core/seams/subscription-api.ts';
import type { Deadline, Deadlines } from '../../core/deadlines.ts';
import type { Link } from '../../net/link.ts';
import {
  parseCommand,
  type Acknowledge,
  type Command,
  type Connect,
  type Subscribe,
  type Unsubscribe,
} from './commands.ts';
import { parseDestination, queueFilter, sharedDurable, type Destination } from './destinations.ts';
import { Durables, type DurableOwner } from './durables.ts';
import { Following, gapHeader, unknownMessage } from './following.ts';
import type { MessageFormats, SharedFormat } from './message-formats.ts';
import { sizeOf, Transactions } from './transactions.ts';
import { encodeOne, parseAckId } from './format.ts';
import type { StompHost } from './limits.ts';
import { CommandPacer } from '../parts/command-pacer.ts';
import { refusalOf } from '../parts/refusal.ts';

/** What the connections of one server share. */
export interface StompShared {
  readonly host: StompHost;
  readonly formats: MessageFormats;
  readonly durables: Durables;
  /** When heart-beats are due. */
  readonly beats: Deadlines<StompConnection>;
  readonly beatBytes: Readonly<Record<'tcp' | 'websocket', Buffer>>;
  /** By `DurableOwner`: a client id has one connection. */
  readonly byClient: Map<string, StompConnection>;
  /** Before CONNECT is answered, and after. */
  readonly firstBounds: FrameBounds;
  readonly bounds: FrameBounds;
}

/** Silence of this many agreed times ends a connection: the network may be late, and so may the other's timer. */
const slack = 2;
const goodbyeCode = 1000;
const noHeaders: Headers = [];

/** What a frame is answered with, and what may happen once it is. */
interface Answer {
  readonly headers: Headers;
  readonly start?: () => void;
}

const plainAnswer: Answer = { headers: noHeaders };

/** `connecting`: CONNECT is awaited, or judged · `leaving`: what was asked is still answered · `over`: nothing is. */
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
  /** Replaced, not changed: most connections have one, and a Map costs four times as much. */
  #followings: readonly Following[] = [];
  #transactions: Transactions | undefined;
  readonly #pacer: CommandPacer;
  /** Reading goes on behind the microtasks that are due now. */
  #isYielding = false;
  /** How long the client may be silent; `undefined`: as long as it likes. */
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
  ended(how: 'left' | 'lost'): void {
    this.#stage = 'over';
    this.#reader.stop();
    this.#letGo(how);
  }

  /** Nothing, or not enough, was heard in time. */
  overdue(): void {
    // While its frames are being done it may not be read from, so it is not known to be silent.
    if (this.#stage === 'connected' && !this.#pacer.isIdle) {
      this.#link.deadline(this.#silenceMs ?? this.#shared.host.limits.handshakeTimeoutMs);
      return;
    }
    const detail =
      this.#stage === 'connecting'
        ? 'CONNECT did not come in time.'
        : 'A heart-beat, or the rest of a frame, did not come in time.';
    this.#fail(new EverywireError('timed_out', detail));
  }

  /** Called in every half of the agreed time: what was sent in it is a heart-beat as well. */
  beatDue(): void {
    if (this.#stage !== 'connected') return;
    if (!this.#hasSent) this.#link.send(this.#shared.beatBytes[this.#link.kind]);
    this.#hasSent = false;
    this.#beat?.restart(this.#beatEveryMs / 2);
  }

  /** Answers what was asked, says goodbye, and closes. */
  goAway(code: number, retryAfterMs: number): void {
    if (this.#stage === 'leaving' || this.#stage === 'over') return;
    this.#leave(() => {
      const error = new EverywireError(
        'going_away',
        'The server is stopping; come back later or elsewhere.',
        {
          retryAfterMs,
        },
      );
      this.#fail(error, undefined, { code });
    });
  }

  deliver(batch: Batch, subscription: Subscription): boolean {
    const following = subscription.tag as Following;
    const againThroughSeq = Math.max(subscription.redeliveredThroughSeq, following.againThroughSeq);
    return this.#write(following, batch, againThroughSeq);
  }

  notify(notice: Notice): void {
    switch (notice.kind) {
      case 'gap':
        (notice.subscription.tag as Following).addGap(notice.gap);
        break;
      case 'ended':
        this.#fail(notice.error ?? new EverywireError('going_away', 'The subscription has ended.'));
        break;
      case 'goaway':
        this.goAway(errorTable.going_away.close, notice.retryAfterMs);
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

  /** A frame that has begun has to end, and a client that promised heart-beats has to be heard. */
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
        throw new EverywireError('malformed', 'A connection begins with CONNECT, and has one.');
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
        void this.#alone(receipt, () => this.#subscribe(command));
        break;
      case 'unsubscribe':
        void this.#alone(receipt, () => this.#unsubscribe(command));
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
          this.#letGo('left');
          this.#link.end(goodbyeCode);
        });
        break;
    }
  }

  #connect(connect: Connect): void {
    const { hub } = this.#shared.host;
    if (connect.version === undefined) {
      const error = new EverywireError('unsupported', `Versions spoken here are ${versions.join(', ')}.`);
      this.#fail(error, undefined, { headers: [['version', versions.join(',')]] });
      return;
    }
    if (hub.isDraining)
      throw new EverywireError('going_away', 'The server is stopping; come back elsewhere.');
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
    // Where there are no tokens, everybody is whom they say.
    this.#subject = identity.claims === undefined ? (identity.subject ?? connect.login) : identity.subject;
    if (connect.clientId !== undefined) {
      this.#owner = { subject: identity.subject, clientId: connect.clientId };
      const key = Durables.keyOf(this.#owner, '');
      byClient.get(key)?.close(taken());
      byClient.set(key, this);
    }
    this.#session = host.hub.open(identity, { transport: 'stomp', address: this.#link.address }, this);
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

  /** What each side can send and wants: what the client asks for is agreed to, within bounds; 0 is none. */
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
    // What is refused at once is known one microtask from now, and what stands behind it must not be done then.
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

  async #subscribe(command: Subscribe): Promise<Answer> {
    const destination = parseDestination(command.destination, this.#subject);
    const key = command.id ?? keyOfDestination(command.destination);
    if (this.#find(key) !== undefined) {
      throw new EverywireError('conflict', 'This connection has a subscription with that id.');
    }
    const from = parseFrom(command, this.#shared.host.clock.nowMs());
    const following = this.#follow(key, command, destination);
    const options: SubscribeOptions = {
      from,
      tag: following,
      ...(command.ack === 'auto' ? {} : { acknowledge: 'peer', windowMessages: command.windowMessages }),
    };
    if (destination.isQueue) {
      following.subscription = await this.#session!.subscribe(queueFilter(destination.name), {
        ...options,
        from: from ?? { since: { kind: 'earliest' } },
        keepGroup: !command.autoDelete,
      });
    } else if (command.durableName !== undefined) {
      await this.#subscribeDurably(following, command.durableName, destination.name, options);
    } else {
      following.subscription = await this.#session!.subscribe(destination.name, options);
    }
    const { startCursor, startGaps } = following.subscription!;
    for (const gap of startGaps) following.addGap(gap);
    const continuity = startGaps.length === 0 ? 'exact' : 'gap';
    const headers: Headers = [
      ['cursor', startCursor],
      ['continuity', continuity],
      ...(startGaps.length === 0 ? [] : [gapHeader(startGaps)]),
    ];
    return { headers, start: () => following.subscription!.start() };
  }

  #follow(key: string, { id, ack, destination: text }: Subscribe, { spelling }: Destination): Following {
    const { formats } = this.#shared;
    const hasAck = this.#version === '1.2' && ack !== 'auto';
    const shape = { version: this.#version, link: this.#link.kind, spelling, id, hasAck };
    const following = new Following({
      key,
      // Only in 1.0 may UNSUBSCRIBE speak of it.
      destination: this.#version === '1.0' ? text : undefined,
      mode: ack,
      first: formats.take({ ...shape, isRedelivery: false }),
      again: formats.take({ ...shape, isRedelivery: true }),
    });
    this.#followings = [...this.#followings, following];
    return following;
  }

  /** Goes on where the subscription of this name stood, unless it is of another filter or a place was asked for. */
  async #subscribeDurably(
    following: Following,
    name: string,
    filter: string,
    options: SubscribeOptions,
  ): Promise<void> {
    if (this.#owner === undefined) {
      // As RabbitMQ has it, the name is everybody's: who subscribes by it shares what comes.
      following.subscription = await this.#session!.subscribe(sharedDurable(name, filter), {
        ...options,
        keepGroup: true,
      });
      following.isShared = true;
      return;
    }
    const { durables } = this.#shared;
    const key = Durables.keyOf(this.#owner, name);
    if (this.#followings.some(({ durable }) => durable?.key === key)) {
      throw new EverywireError('conflict', 'This connection has a durable subscription of that name.');
    }
    const session = this.#session!;
    const { holder, found } = await durables.take(key, filter, session.identity, () => this.close(taken()));
    try {
      if (this.#session !== session) throw endedMeanwhile();
      const progress = found?.filter === filter && options.from === undefined ? found.progress : undefined;
      if (following.mode === 'auto') following.againThroughSeq = progress?.deliveredThroughSeq ?? 0;
      following.subscription = await session.subscribe(filter, { ...options, progress });
      // Whoever took it over while this was awaited has ended the connection.
      if (this.#session !== session) throw endedMeanwhile();
      following.durable = holder;
    } finally {
      if (following.durable === undefined) holder.leave();
    }
    await holder.follow(following.subscription);
  }

  async #unsubscribe({ id, destination, durableName }: Unsubscribe): Promise<Answer> {
    const following = this.#findFollowing(id, destination);
    if (following === undefined && (durableName === undefined || this.#owner === undefined)) {
      throw new EverywireError('not_found', 'This connection has no such subscription.');
    }
    if (following !== undefined) this.#drop(following);
    const { durables, host } = this.#shared;
    if (durableName !== undefined) {
      if (this.#owner !== undefined) await durables.remove(Durables.keyOf(this.#owner, durableName));
      else if (following?.isShared === true) host.hub.forgetGroup(following.subscription!.filter);
    }
    return plainAnswer;
  }

  #findFollowing(id: string | undefined, destination: string | undefined): Following | undefined {
    if (id !== undefined) return this.#find(id);
    if (destination === undefined) return undefined;
    return (
      this.#find(keyOfDestination(destination)) ??
      this.#followings.find((following) => following.destination === destination)
    );
  }

  #find(key: string): Following | undefined {
    return this.#followings.find((following) => following.key === key);
  }

  #drop(following: Following): void {
    this.#followings = this.#followings.filter((other) => other !== following);
    this.#release(following);
    following.subscription?.cancel();
  }

  /** What it has of others: to be called before its subscription ends. */
  #release({ first, again, durable }: Following): void {
    const { formats } = this.#shared;
    formats.release(first);
    formats.release(again);
    durable?.leave();
  }

  #acknowledge(command: Acknowledge, receipt: string | undefined): void {
    const { following, seq } = this.#findMessage(command);
    const how = command.op === 'nack' && command.isRequeued ? 'release' : 'ack';
    const settle = (): void => {
      following.settle(seq, how);
      following.durable?.touch();
    };
    if (command.transaction !== undefined) {
      this.#openTransactions.addAcknowledgement(command.transaction, settle, receipt);
      return;
    }
    settle();
    this.#answer(receipt);
  }

  #findMessage({ id, subscription, messageId }: Acknowledge): { following: Following; seq: number } {
    const parsed = id === undefined ? undefined : parseAckId(id);
    const cursor = parsed?.cursor ?? messageId ?? '';
    const key = parsed?.id ?? subscription;
    for (const following of this.#followings) {
      const seq = key === undefined || following.key === key ? following.seqOf(cursor) : undefined;
      if (seq !== undefined) return { following, seq };
    }
    throw unknownMessage();
  }

  #write(following: Following, batch: Batch, againThroughSeq: number): boolean {
    this.#hasSent = true;
    following.noteDelivered(batch);
    following.durable?.touch();
    let rest: Batch | undefined = batch;
    let takesMore = true;
    if (following.gaps !== undefined) {
      const first = batch.messages[0]!;
      const { shape } = formatOf(following, first.seq, againThroughSeq);
      takesMore = this.#link.send(encodeOne(first, shape, [gapHeader(following.gaps)]));
      following.gaps = undefined;
      rest = batch.since(first.seq);
    }
    if (rest === undefined) return takesMore;
    if (rest.firstSeq > againThroughSeq) return this.#link.send(following.first.encode(rest));
    const fresh = rest.since(againThroughSeq);
    const again = rest.first(rest.messages.length - (fresh?.messages.length ?? 0));
    takesMore = this.#link.send(following.again.encode(again));
    return fresh === undefined ? takesMore : this.#link.send(following.first.encode(fresh));
  }

  get #openTransactions(): Transactions {
    return (this.#transactions ??= new Transactions(this.#shared.host.limits));
  }

  /**
   * What the frames behind this one do may depend on it, so they wait; and so does it for those before it: what was sent
   * before SUBSCRIBE is not among what comes from now on.
   */
  async #alone(receipt: string | undefined, work: () => Promise<Answer>): Promise<void> {
    await this.#pacer.alone(async () => {
      // The connection may have ended meanwhile.
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

  /** Reads nothing more, and calls `then` when everything that was asked before is answered. */
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

  /** ERROR, and the end of the connection, as STOMP has it. */
  #fail(
    error: EverywireError,
    receipt?: string,
    { code, headers }: { readonly code?: number; readonly headers?: Headers } = {},
  ): void {
    if (this.#stage === 'over') return;
    this.#stage = 'over';
    this.#reader.stop();
    this.#link.answer(encodeError(error, { version: this.#version, receipt, headers }));
    this.#letGo('lost');
    this.#link.end(code ?? errorTable[error.code].close, error.code);
  }

  #letGo(how: 'left' | 'lost'): void {
    const session = this.#session;
    this.#beat?.cancel();
    for (const following of this.#followings) this.#release(following);
    this.#followings = [];
    if (this.#owner !== undefined) {
      const { byClient } = this.#shared;
      const key = Durables.keyOf(this.#owner, '');
      if (byClient.get(key) === this) byClient.delete(key);
    }
    this.#session = undefined;
    // All at once: what one of its consumers gives back must not go to another one of them.
    session?.end(how);
  }
}

function endedMeanwhile(): EverywireError {
  return new EverywireError('going_away', 'The connection ended meanwhile.');
}

function taken(): CloseReason {
  return { error: new EverywireError('session_taken', 'This client-id has connected again.') };
}

function formatOf(following: Following, seq: number, againThroughSeq: number): SharedFormat {
  return seq <= againThroughSeq ? following.again : following.first;
}

/** Of a subscription that has no id, as 1.0 allows. NUL cannot be in a header, so it is nobody's id. */
function keyOfDestination(destination: string): string {
  return `\0${destination}`;
}

function publishedHeaders({ offset, cursor, id, duplicate }: Published): Headers {
  return [
    ['offset', String(offset)],
    ['cursor', cursor],
    ['everywire-id', id],
    ...(duplicate ? [['duplicate', 'true'] as const] : []),
  ];
}
