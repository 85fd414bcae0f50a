import { EverywireError, parseFrom } from '@everywire/protocol';
import {
  type BadCommand,
  closeOf,
  endedFrame,
  goawayFrame,
  okAnswer,
  publishedAnswer,
  refusedAnswer,
} from '@everywire/protocol/everywire-v1';
import type { Batch } from '../../core/log/batch.ts';
import { spellingOf } from '../../core/groups/name.ts';
import type { CloseReason, Notice, Sink } from '../../core/seams/sink.ts';
import type { PublishDraft, Session } from '../../core/seams/session-api.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';
import type { WebSocketPeer } from '../../websocket/peer.ts';
import { parseCommand, type Command } from './commands.ts';
import { gapText, messageFormat, subscribedText } from './format.ts';
import type { WebSocketHost } from './limits.ts';
import { CommandPacer } from '../parts/command-pacer.ts';
import { refusalOf } from '../parts/refusal.ts';

const policyCode = 1008;

/** One filter that a connection follows, from the command on. */
class ClientSubscription {
  /** Undefined until the hub has opened it. */
  subscription: Subscription | undefined;
  isCancelled = false;
}

/** A connection of `everywire.v1`: its commands become calls on the hub's session, its deliveries text frames. */
export class CommandConnection implements Sink {
  readonly #host: WebSocketHost;
  readonly #drainCode: number;
  #peer!: WebSocketPeer<CommandConnection>;
  #session!: Session;
  /** The subscriptions by the canonical text of their filter or group. */
  #subscriptions: Map<string, ClientSubscription> | undefined;
  #pacer!: CommandPacer;
  #badCommands = 0;
  /** The server is stopping: it answers the earlier commands, and takes no more. */
  #isLeaving = false;

  constructor(host: WebSocketHost, drainCode: number) {
    this.#host = host;
    this.#drainCode = drainCode;
  }

  /** Called once, before anything can be received or delivered. */
  begin(session: Session, peer: WebSocketPeer<CommandConnection>): void {
    this.#session = session;
    this.#peer = peer;
    this.#pacer = new CommandPacer(peer, this.#host.limits);
  }

  receive(text: Buffer): void {
    if (this.#isLeaving) return;
    const command = parseCommand(text, this.#host.limits);
    if (command.op === 'bad') this.#refuseBad(command);
    else {
      this.#badCommands = 0;
      this.#run(command, text.length);
    }
  }

  /** The connection is gone. */
  ended(): void {
    this.#session.end();
  }

  drained(): void {
    this.#session.drained();
  }

  deliver(batch: Batch): boolean {
    return this.#peer.send(batch.as(messageFormat).bytes);
  }

  notify(notice: Notice): void {
    if (notice.kind === 'goaway') {
      this.#goAway(notice.retryAfterMs);
      return;
    }
    if (notice.kind === 'gap') {
      this.#peer.sendText(gapText(notice.gap));
      return;
    }
    const { subscription, error } = notice;
    this.#forget(subscription.tag as ClientSubscription);
    this.#peer.sendText(endedFrame(subscription.filter, error));
  }

  close({ error }: CloseReason): void {
    const { code, reason } = closeOf(error);
    this.#peer.close(code, reason);
  }

  /** Sends goaway, and closes when all earlier commands are answered. */
  #goAway(retryAfterMs: number): void {
    this.#peer.sendText(goawayFrame(retryAfterMs));
    this.#isLeaving = true;
    this.#pacer.whenIdle(() => this.#peer.close(this.#drainCode, 'going_away'));
  }

  #run(command: Command, bytes: number): void {
    switch (command.op) {
      case 'publish':
        this.#answer(command.id, bytes, () => this.#publish(command.id, command.channel, command.draft));
        break;
      case 'subscribe':
        this.#answer(command.id, bytes, () => this.#subscribe(command));
        break;
      case 'unsubscribe':
        this.#unsubscribe(command.id, command.channel);
        break;
      case 'auth':
        this.#answer(command.id, bytes, () => this.#authenticate(command.id, command.token));
        break;
      case 'ping':
        this.#peer.sendText(okAnswer(command.id));
        break;
    }
  }

  #answer(id: string, bytes: number, command: () => Promise<void>): void {
    void this.#pacer.run(command, (caught) => this.#refuse(id, caught), bytes);
  }

  async #publish(id: string, channel: string, draft: PublishDraft): Promise<void> {
    this.#peer.sendText(publishedAnswer(id, await this.#session.publish(channel, draft)));
  }

  async #subscribe(command: Command & { op: 'subscribe' }): Promise<void> {
    const { id, channel } = command;
    // "From now on" means from this command, so that the subscriber gets the messages of the next command.
    const from = parseFrom(command, this.#host.clock.nowMs());
    const key = spellingOf(channel, this.#host.limits);
    // The same filter again replaces the earlier one, as in MQTT [MQTT-3.8.4-3]: a client could not distinguish the two.
    this.#drop(key);
    const followed = new ClientSubscription();
    this.#subscriptions ??= new Map();
    this.#subscriptions.set(key, followed);
    try {
      followed.subscription = await this.#session.subscribe(channel, { from, tag: followed });
    } catch (caught) {
      if (this.#subscriptions.get(key) === followed) this.#subscriptions.delete(key);
      throw caught;
    }
    if (followed.isCancelled) followed.subscription.cancel();
    this.#peer.sendText(subscribedText(id, followed.subscription));
    for (const gap of followed.subscription.startGaps.slice(1)) this.#peer.sendText(gapText(gap));
    followed.subscription.start();
  }

  #unsubscribe(id: string, channel: string): void {
    try {
      const key = spellingOf(channel, this.#host.limits);
      if (!this.#drop(key)) {
        throw new EverywireError('not_found', 'This connection does not follow that channel or filter.');
      }
      this.#peer.sendText(okAnswer(id));
    } catch (caught) {
      this.#refuse(id, caught);
    }
  }

  /** Cancels a subscription that is still being opened as soon as it is open. */
  #drop(key: string): boolean {
    const followed = this.#subscriptions?.get(key);
    if (followed === undefined) return false;
    followed.isCancelled = true;
    followed.subscription?.cancel();
    this.#subscriptions?.delete(key);
    return true;
  }

  #forget(followed: ClientSubscription): void {
    for (const [key, one] of this.#subscriptions ?? [])
      if (one === followed) this.#subscriptions?.delete(key);
  }

  async #authenticate(id: string, token: string): Promise<void> {
    await this.#session.refresh(token);
    this.#peer.sendText(okAnswer(id));
  }

  #refuse(id: string, caught: unknown): void {
    const error = refusalOf(caught, this.#host.log, 'a WebSocket command failed');
    this.#peer.sendText(refusedAnswer(id, error));
  }

  #refuseBad({ id, error }: BadCommand): void {
    this.#badCommands += 1;
    this.#peer.sendText(refusedAnswer(id, error));
    if (this.#badCommands >= this.#host.limits.badCommandsMax) {
      this.#peer.close(policyCode, `${error.code}: too many frames in a row are not commands.`);
    }
  }
}
