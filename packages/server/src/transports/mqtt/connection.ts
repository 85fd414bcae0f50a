import { messageBytesMax } from '../../core/message-bounds.ts';
import type { Batch } from '../../core/log/batch.ts';
import { checkLogin } from '../../core/sessions/login.ts';
import type { Session } from '../../core/seams/session-api.ts';
import type { CloseReason, Notice, Sink } from '../../core/seams/sink.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';
import type { Link } from '../../net/link.ts';
import { authAnswer, faultOfAuth, tokenOf } from './authentication.ts';
import type { Broker } from './broker.ts';
import type { MqttClient } from './client.ts';
import { closeCode, goingAwayClose, normalClose, protocolClose } from './close-codes.ts';
import {
  connackOf,
  connackReasonFor,
  offerOf,
  refusalOfConnect,
  connectBytesMax,
  keptSeconds,
  sayableReason,
  sessionOf,
  serverKeepAliveSeconds,
} from './connecting.ts';
import { Delivery } from './delivery.ts';
import { Publishing } from './publishing.ts';
import { disconnectReason, reasonString, subackReason, withoutReasons } from './reasons.ts';
import type { OpenSession } from './open-session.ts';
import type { Closing } from './sessions.ts';
import type { MqttSubscription } from './state.ts';
import { detachAll, Subscriptions } from './subscriptions.ts';
import {
  encodePacket,
  reasonCodes,
  serverReader,
  type Auth,
  type ClientPacket,
  type Connect,
  type Disconnect,
  type MqttFault,
  type Packet,
  type PacketReader,
  type Version,
} from '@everywire/wires/mqtt';
import { draftOf } from './convert.ts';
import { isBridgeState } from './targets.ts';
import { CommandPacer } from '../parts/command-pacer.ts';
import { countConnection } from './figures.ts';
import { refusalOf } from '../parts/refusal.ts';

/** `new`: no CONNECT yet. `connecting`: the server checks it. `open` · `leaving`: reads nothing more · `closed`. */
type Stage = 'new' | 'connecting' | 'open' | 'leaving' | 'closed';

/** A keep alive is over after one and a half of it [MQTT-3.1.2-22]. */
const keepAliveShare = 1.5;

/** One connection of an MQTT client: it turns packets into calls on the hub, and deliveries of the hub into packets. */
export class MqttConnection implements Sink, MqttClient {
  readonly broker: Broker;
  readonly link: Link<MqttConnection>;
  readonly pacer: CommandPacer;
  session!: Session;
  version: Version = 4;
  isBridge = false;
  opened: OpenSession | undefined;
  /** Largest packet that the client takes (§3.1.2.11.4). */
  packetBytesMax = Number.POSITIVE_INFINITY;
  readonly #reader: PacketReader<ClientPacket>;
  #stage: Stage = 'new';
  #keepAliveMs = 0;
  #inFlightMax = 0;
  #wantsReasons = true;
  #delivery: Delivery | undefined;
  #publishing: Publishing | undefined;
  #subscriptions: Subscriptions | undefined;
  #closing: Closing = {};
  #isTakenOver = false;
  /** The authentication method of the CONNECT (§4.12). */
  #authenticationMethod: string | undefined;
  /** Filters whose subscriptions a new token has ended, until the AUTH answer reports them. */
  #unsubscribed: string[] | undefined;
  /** The connection no longer uses the session of the hub. */
  #isDetached = false;
  /** The CONNACK accepted it, and the figures count it. */
  #isCounted = false;

  constructor(broker: Broker, link: Link<MqttConnection>) {
    this.broker = broker;
    this.link = link;
    this.pacer = new CommandPacer(this, broker.host.limits);
    const { handshakeTimeoutMs } = broker.host.limits;
    this.#reader = serverReader({ packetBytesMax: connectBytesMax(broker.host) });
    link.deadline(handshakeTimeoutMs);
  }

  /** A method, not a property, since the value changes during an `await`. */
  isOpen(): boolean {
    return this.#stage === 'open' || this.#stage === 'leaving';
  }

  /** How many more PUBLISH packets above QoS 0 the client takes now (§4.9). */
  get available(): number {
    return this.#inFlightMax - this.opened!.state.onWire;
  }

  receive(bytes: Buffer): void {
    if (this.#stage === 'closed' || this.#stage === 'leaving') return;
    this.broker.figures.bytesReceived += bytes.length;
    this.#reader.push(bytes);
    this.#read();
  }

  /** The link takes bytes again. */
  drained(): void {
    this.#delivery?.drained();
  }

  peerEnded(end: () => void): void {
    this.pacer.whenIdle(end);
  }

  /** The client sent nothing in time. */
  overdue(): void {
    if (this.#stage !== 'open') this.link.destroy();
    // The silence is ours: the server does not read now.
    else if (this.#mustWait) this.#touch();
    else
      this.refuse(
        reasonCodes.keepAliveTimeout,
        'The client sent nothing for one and a half times its keep alive.',
      );
  }

  /** The link is gone. */
  ended(): void {
    const { opened, broker } = this;
    const wasConnecting = this.#stage === 'connecting' || !this.#isCounted;
    this.#stage = 'closed';
    // The code that handles the CONNECT finds the stage closed, and cleans up.
    if (opened === undefined || wasConnecting) return;
    broker.figures.connections -= 1;
    this.#detach();
    this.session.end();
    if (this.#isTakenOver) return;
    void this.#idle().then(() => broker.sessions.close(opened, this.#closing));
  }

  /** Another connection has the session, or it was removed. Resolves when the store has answered every publish of this one. */
  async takenOver(why: 'taken' | 'removed' | 'stale'): Promise<void> {
    this.#isTakenOver = true;
    if (why === 'removed')
      this.refuse(reasonCodes.administrativeAction, 'An administrator ended the session.');
    else this.refuse(reasonCodes.sessionTakenOver, 'The session was opened by another connection.');
    await this.#idle();
  }

  /** The server stops: it still answers the received packets, and then asks the client to come back. */
  goAway(): void {
    if (this.#stage === 'closed' || this.#stage === 'leaving') return;
    const wasOpen = this.#stage === 'open';
    this.#stage = 'leaving';
    this.#closing = { isDrain: true };
    this.pacer.whenIdle(() => {
      if (wasOpen) this.#disconnect(reasonCodes.serverShuttingDown, 'The server is stopping.');
      this.link.end(goingAwayClose, 'going_away');
    });
  }

  /** Resolves when all its publishes are stored or refused. */
  #idle(): Promise<void> {
    return new Promise((resolve) => this.pacer.whenIdle(resolve));
  }

  send(bytes: Buffer): boolean {
    this.broker.figures.bytesSent += bytes.length;
    return this.link.send(bytes);
  }

  /** Sends one packet at the end of the turn, together with others. */
  answer(packet: Packet): void {
    if (!this.link.isOpen) return;
    const told = this.#wantsReasons ? packet : withoutReasons(packet);
    const bytes = encodePacket(told, this.version, this.packetBytesMax);
    if (bytes === undefined) {
      // A message may be left out [MQTT-3.1.2-25]. Without any other packet the client would wait without end.
      if (packet.type !== 'publish') this.link.end(protocolClose);
      return;
    }
    this.broker.figures.packetsSent += 1;
    this.broker.figures.bytesSent += bytes.length;
    this.link.answer(bytes);
  }

  /** Ends the connection because of the client; in MQTT 5 with the reason [MQTT-4.13.1-1]. */
  refuse(reasonCode: number, detail: string): void {
    if (this.#stage === 'closed') return;
    const isNew = this.#stage === 'new' || this.#stage === 'connecting';
    if (!isNew) this.#disconnect(reasonCode, detail);
    // Set before the link reports its end, so that later packets are ignored.
    this.#stage = 'leaving';
    this.link.end(closeCode(reasonCode), '');
  }

  /** A fault of the server ends only this connection. */
  fail(cause: unknown): void {
    const error = refusalOf(cause, this.broker.host.log, 'an MQTT connection failed');
    this.refuse(disconnectReason(error), reasonString(error));
  }

  /** For the pacer. */
  pause(): void {
    this.link.pause();
  }

  /** As above, and when PUBLISHes were answered. */
  resume(): void {
    if (this.#stage !== 'open' || this.#mustWait) return;
    this.link.resume();
    this.#read();
  }

  saveSoon(): void {
    this.opened!.saveSoon();
  }

  /** Resolves when the present window is durable. */
  saveNow(): Promise<void> {
    return this.opened!.saveWindow();
  }

  deliver(batch: Batch, subscription: Subscription): boolean {
    return this.#deliveryOf().deliver(batch, subscription);
  }

  notify(notice: Notice): void {
    if (notice.kind === 'gap') this.#deliveryOf().gap(notice.subscription, notice.gap);
    else if (notice.kind === 'goaway') this.goAway();
    else if (notice.error !== undefined) this.#ended(notice.subscription);
  }

  close({ error }: CloseReason): void {
    if (this.#stage === 'connecting') {
      this.#refuseConnect(this.version, error);
      return;
    }
    this.#detach();
    this.refuse(disconnectReason(error), reasonString(error));
  }

  /** A right was withdrawn: the subscription ends as if the client had unsubscribed. The answer to its AUTH says so. */
  #ended({ tag }: Subscription): void {
    const subscription = tag as MqttSubscription;
    (this.#unsubscribed ??= []).push(subscription.filter);
    this.#subscriptionsOf().end(subscription);
  }

  /** Records all positions before the hub drops them: the session may continue in another connection. */
  #detach(): void {
    if (this.opened === undefined || !this.#isCounted || this.#isDetached) return;
    this.#isDetached = true;
    this.#delivery?.close();
    detachAll(this);
  }

  /** Reads packets until one of them needs a wait. */
  #read(): void {
    let hasRead = false;
    while ((this.#stage === 'new' || this.#stage === 'open') && !this.#mustWait) {
      const packet = this.#reader.next();
      if (packet === undefined) break;
      if (packet.type === 'fault') {
        this.#fault(packet);
        break;
      }
      hasRead = true;
      this.broker.figures.packetsReceived += 1;
      this.#take(packet);
    }
    this.#publishing?.flush();
    this.#delivery?.settle();
    if (this.#stage === 'open') {
      if (hasRead) this.#touch();
      if (this.#mustWait) this.link.pause();
    } else if (this.#stage === 'connecting') {
      this.link.pause();
    }
  }

  /** Whether the connection must not read a packet now. */
  get #mustWait(): boolean {
    return this.pacer.isBlocked || this.#publishing?.mustWait === true;
  }

  #touch(): void {
    if (this.#keepAliveMs > 0) this.link.deadline(this.#keepAliveMs);
  }

  #fault(fault: MqttFault): void {
    if (fault.connackVersion !== undefined && this.#stage === 'new') {
      this.version = fault.connackVersion;
      this.#connack(sayableReason(this.version, fault.reasonCode), { detail: fault.detail });
    }
    this.refuse(fault.reasonCode, fault.detail);
  }

  #take(packet: ClientPacket): void {
    switch (packet.type) {
      case 'connect':
        this.#stage = 'connecting';
        this.#connect(packet).catch((cause: unknown) => this.#refuseConnect(packet.version, cause));
        return;
      case 'publish':
        (this.#publishing ??= new Publishing(this)).receive(packet);
        return;
      case 'puback':
        if (this.#delivery?.puback(packet.packetId) === false) this.#wrongAck();
        return;
      case 'pubrec':
        if (!this.#deliveryOf().pubrec(packet.packetId, packet.reasonCode)) this.#wrongAck();
        return;
      case 'pubrel':
        (this.#publishing ??= new Publishing(this)).release(packet);
        return;
      case 'pubcomp':
        if (this.#delivery?.pubcomp(packet.packetId) === false) this.#wrongAck();
        return;
      case 'subscribe':
        if (packet.filters.some(({ filter, noLocal }) => noLocal && filter.startsWith('$share/'))) {
          this.refuse(reasonCodes.protocolError, 'A shared subscription must not have No Local.');
        } else {
          this.#whenStored(() => this.#subscriptionsOf().subscribe(packet));
        }
        return;
      case 'unsubscribe':
        this.#suspend(this.#subscriptionsOf().unsubscribe(packet));
        return;
      case 'pingreq':
        if (this.pacer.isIdle) this.answer({ type: 'pingresp' });
        else this.#whenStored(async () => this.answer({ type: 'pingresp' }));
        return;
      case 'disconnect':
        this.#left(packet);
        return;
      case 'auth':
        this.#authenticateAgain(packet);
        return;
    }
  }

  #wrongAck(): void {
    this.refuse(reasonCodes.protocolError, 'The acknowledgement is not for the QoS of the message.');
  }

  /**
   * Runs `then` when all earlier publishes of the client are stored: they can be among the retained messages of a
   * subscription, and a ping is answered only after them.
   */
  #whenStored(then: () => Promise<void>): void {
    this.#publishing?.flush();
    const command = async (): Promise<void> => {
      if (this.#stage === 'open') await then();
    };
    this.pacer.alone(command).catch((cause: unknown) => this.#failed(cause));
  }

  /** Reads nothing more until `work` is done. */
  #suspend(work: Promise<void>): void {
    void this.pacer.holdDuring(work.catch((cause: unknown) => this.#failed(cause)));
  }

  #failed(cause: unknown): void {
    if (this.isOpen()) this.fail(cause);
  }

  async #connect(packet: Connect): Promise<void> {
    const { broker, link } = this;
    const { hub, random, limits } = broker.host;
    const { version, will, properties } = packet;
    this.version = version;
    this.isBridge = packet.isBridge === true;
    this.#wantsReasons = properties.requestProblemInformation !== 0;
    this.packetBytesMax = properties.maximumPacketSizeBytes ?? Number.POSITIVE_INFINITY;
    if (hub.isDraining) {
      this.#refuseWith(reasonCodes.serverShuttingDown, 'The server is stopping.');
      return;
    }
    const refusal = refusalOfConnect(packet, limits);
    if (refusal !== undefined) {
      this.#refuseWith(refusal.reasonCode, refusal.detail);
      return;
    }
    this.#authenticationMethod = properties.authenticationMethod;
    const { ticket, certificate, address, connection } = link;
    const token = tokenOf(packet);
    const identity = await hub.authenticate({ token, ticket, certificate, address, connection });
    if (this.#isGone()) return;
    checkLogin(identity, packet.userName);
    // From here on, every end of the connection must also end the session of the hub.
    this.session = hub.open(identity, { transport: 'mqtt', address: link.address }, this);
    if (will !== undefined && !isBridgeState(will.topic))
      this.session.checkPublish(will.topic, draftOf(will));
    const wanted = sessionOf(packet, random, limits);
    const { session, isPresent } = await broker.sessions.open({
      connection: this,
      identity,
      ...wanted,
    });
    this.opened = session;
    const keepAliveSeconds = serverKeepAliveSeconds(packet, limits) ?? packet.keepAliveSeconds;
    this.#keepAliveMs = keepAliveSeconds * 1_000 * keepAliveShare;
    link.deadline(this.#keepAliveMs > 0 ? this.#keepAliveMs : undefined);
    this.#inFlightMax = Math.min(properties.receiveMaximum ?? 0xffff, limits.mqttInFlightMax);
    if (this.#isGone()) {
      this.session.end();
      await broker.sessions.close(session, this.#closing);
      return;
    }
    this.#connack(reasonCodes.success, {
      sessionPresent: isPresent,
      properties: offerOf(packet, wanted.clientId, limits),
    });
    this.#isCounted = true;
    countConnection(broker.figures);
    this.#reader.packetBytesMax = messageBytesMax(limits, 'bytes');
    link.trust();
    this.#stage = 'open';
    this.pacer.hold();
    if (isPresent) {
      await this.#deliveryOf().resume();
      await this.#subscriptionsOf().resume();
    }
    this.pacer.release();
  }

  /** The connection may have ended during the check of its CONNECT, which the compiler cannot see. */
  #isGone(): boolean {
    return this.#stage !== 'connecting' || !this.link.isOpen;
  }

  #refuseConnect(version: Version, cause: unknown): void {
    const error = refusalOf(cause, this.broker.host.log, 'a CONNECT failed');
    if (this.isOpen()) {
      this.refuse(subackReason(error), reasonString(error));
      return;
    }
    this.version = version;
    (this.session as Session | undefined)?.end();
    this.#refuseWith(connackReasonFor(version, error), reasonString(error));
  }

  #refuseWith(reasonCode: number, detail: string): void {
    if (this.#stage === 'closed') return;
    this.#connack(reasonCode, { detail });
    this.refuse(reasonCode, detail);
  }

  #connack(reasonCode: number, answer: Parameters<typeof connackOf>[2]): void {
    const packet = connackOf(this.version, reasonCode, answer);
    if (packet !== undefined) this.answer(packet);
  }

  #disconnect(reasonCode: number, detail: string): void {
    if (this.version !== 5) return;
    const properties = this.#wantsReasons ? { reasonString: detail } : {};
    this.answer({ type: 'disconnect', reasonCode, properties });
  }

  /** Replaces the token of the connection (§4.12.1). */
  #authenticateAgain(packet: Auth): void {
    const fault = faultOfAuth(packet, this.#authenticationMethod);
    if (fault !== undefined) {
      this.refuse(reasonCodes.protocolError, fault);
      return;
    }
    // Earlier PUBLISHes are checked against the earlier token.
    this.#publishing?.flush();
    this.#suspend(this.#refresh(packet.properties.authenticationData?.toString() ?? ''));
  }

  async #refresh(token: string): Promise<void> {
    const { session } = this;
    await session.refresh(token);
    if (this.#stage !== 'open') return;
    const unsubscribed = [...(this.#unsubscribed ?? []), ...(this.#subscriptions?.judgeSys() ?? [])];
    this.#unsubscribed = undefined;
    this.#delivery?.rightsChanged();
    await this.opened!.refreshed(session.identity);
    this.answer(authAnswer(this.#authenticationMethod!, unsubscribed));
  }

  #left({ reasonCode, properties }: Disconnect): void {
    const opened = this.opened!;
    const expirySeconds = properties.sessionExpiryIntervalSeconds;
    if (!opened.isPersistent && expirySeconds !== undefined && expirySeconds > 0) {
      this.refuse(
        reasonCodes.protocolError,
        'DISCONNECT must not set a session expiry if the CONNECT set none.',
      );
      return;
    }
    if (expirySeconds !== undefined) opened.expireAfter(keptSeconds(expirySeconds, this.broker.host.limits));
    this.#stage = 'leaving';
    // Only a DISCONNECT with this code cancels the will [MQTT-3.14.4-3].
    if (reasonCode !== reasonCodes.success || opened.will === undefined) {
      this.link.end(normalClose);
      return;
    }
    // Removes the will from the store first. Otherwise a restart after a crash would publish it although the client has
    // seen a normal end.
    opened.withdrawWill().then(
      () => this.link.end(normalClose),
      () => this.link.destroy(),
    );
  }

  #deliveryOf(): Delivery {
    return (this.#delivery ??= new Delivery(this));
  }

  #subscriptionsOf(): Subscriptions {
    return (this.#subscriptions ??= new Subscriptions(this, this.#deliveryOf()));
  }
}
