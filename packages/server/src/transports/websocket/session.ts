import { EverywireError, toEverywireError, parseFrom } from '@everywire/protocol';
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
import type { PublishDraft, Session } from '../../core/seams/session-api.ts';
import type { CloseReason, Notice, Sink } from '../../core/seams/sink.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';
import type { Host } from '../../core/seams/transport.ts';
import { InFlightCommands } from '../../core/in-flight-commands.ts';
import type { WebSocketPeer } from '../../websocket/peer.ts';
import { parseCommand, type Command } from './commands.ts';
import { gapText, messageFormat, subscribedText } from './format.ts';
import type { WebSocketLimits } from '../../websocket/limits.ts';

const policyCode = 1008;

/** One filter that a connection follows, from the command on. */
class Following {
  /** Undefined until the hub has begun it. */
  subscription: Subscription | undefined;
  isCancelled = false;
}

/** A connection of `everywire.v1`: its commands become calls on the hub's session, its deliveries text frames. */
export class CommandConnection implements Sink {
  readonly #host: Host<WebSocketLimits>;
  #peer!: WebSocketPeer<CommandConnection>;
  #session!: Session;
  /** By the one spelling of the filter or group. */
  #followings: Map<string, Following> | undefined;
  readonly #underWay = new InFlightCommands();
  #badCommands = 0;
  /** Close code once the server is going away and only answers are still owed. */
  #leavingWith: number | undefined;

  constructor(host: Host<WebSocketLimits>) {
    this.#host = host;
  }

  /** Called once, before anything can be received or delivered. */
  begin(session: Session, peer: WebSocketPeer<CommandConnection>): void {
    this.#session = session;
    this.#peer = peer;
  }

  receive(text: Buffer): void {
    if (this.#leavingWith !== undefined) return;
    const command = parseCommand(text, this.#host.limits);
    if (command.op === 'bad') this.#refuseBad(command);
    else {
      this.#badCommands = 0;
      this.#run(command, text.length);
    }
  }

  /** The connection is gone. */
  ended(how: 'left' | 'lost'): void {
    this.#session.end(how);
  }

  drained(): void {
    this.#session.drained();
  }

  /** Says goodbye, and closes when nothing that was asked before is left to be answered. */
  goAway(code: number, retryAfterMs: number): void {
    if (this.#leavingWith !== undefined) return;
    this.#peer.sendText(goawayFrame(retryAfterMs));
    this.#leavingWith = code;
    this.#closeIfIdle();
  }

  deliver(batch: Batch): boolean {
    return this.#peer.send(batch.as(messageFormat).bytes);
  }

  notify(notice: Notice): void {
    if (notice.kind === 'goaway') {
      this.#peer.sendText(goawayFrame(notice.retryAfterMs));
      return;
    }
    if (notice.kind === 'gap') {
      this.#peer.sendText(gapText(notice.gap));
      return;
    }
    const { subscription, error } = notice;
    this.#forget(subscription.tag as Following);
    this.#peer.sendText(endedFrame(subscription.filter, error));
  }

  close({ error }: CloseReason): void {
    const { code, reason } = closeOf(error);
    this.#peer.close(code, reason);
  }

  #run(command: Command, bytes: number): void {
    switch (command.op) {
      case 'publish':
        void this.#answer(command.id, bytes, this.#publish(command.id, command.channel, command.draft));
        break;
      case 'subscribe':
        void this.#answer(command.id, bytes, this.#subscribe(command));
        break;
      case 'unsubscribe':
        this.#unsubscribe(command.id, command.channel);
        break;
      case 'auth':
        void this.#answer(command.id, bytes, this.#authenticate(command.id, command.token));
        break;
      case 'ping':
        this.#peer.sendText(okAnswer(command.id));
        break;
    }
  }

  /** Waits for `work`, which answers by itself when it succeeds; what it throws is the answer otherwise. */
  async #answer(id: string, bytes: number, work: Promise<void>): Promise<void> {
    const { limits } = this.#host;
    this.#underWay.begin(bytes);
    if (this.#underWay.isFull(limits)) this.#peer.pause();
    try {
      await work;
    } catch (caught) {
      this.#refuse(id, caught);
    }
    this.#underWay.end(bytes);
    if (this.#underWay.hasRoom(limits)) this.#peer.resume();
    this.#closeIfIdle();
  }

  async #publish(id: string, channel: string, draft: PublishDraft): Promise<void> {
    this.#peer.sendText(publishedAnswer(id, await this.#session.publish(channel, draft)));
  }

  async #subscribe(command: Command & { op: 'subscribe' }): Promise<void> {
    const { id, channel } = command;
    // From now on means from this command: what is published by the next one is not missed, however long this takes.
    const from = parseFrom(command, this.#host.clock.nowMs());
    const key = spellingOf(channel, this.#host.limits);
    // The same filter again begins anew, as in MQTT [MQTT-3.8.4-3]: two of them could not be told apart.
    this.#drop(key);
    const following = new Following();
    this.#followings ??= new Map();
    this.#followings.set(key, following);
    try {
      following.subscription = await this.#session.subscribe(channel, { from, tag: following });
    } catch (caught) {
      if (this.#followings.get(key) === following) this.#followings.delete(key);
      throw caught;
    }
    if (following.isCancelled) following.subscription.cancel();
    this.#peer.sendText(subscribedText(id, following.subscription));
    for (const gap of following.subscription.startGaps.slice(1)) this.#peer.sendText(gapText(gap));
    following.subscription.start();
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

  /** One still being begun is cancelled when it has. */
  #drop(key: string): boolean {
    const following = this.#followings?.get(key);
    if (following === undefined) return false;
    following.isCancelled = true;
    following.subscription?.cancel();
    this.#followings?.delete(key);
    return true;
  }

  #forget(following: Following): void {
    for (const [key, one] of this.#followings ?? []) if (one === following) this.#followings?.delete(key);
  }

  async #authenticate(id: string, token: string): Promise<void> {
    await this.#session.refresh(token);
    this.#peer.sendText(okAnswer(id));
  }

  #refuse(id: string, caught: unknown): void {
    const error = toEverywireError(caught);
    if (error.code === 'internal') this.#host.log.error({ err: caught }, 'a WebSocket command failed');
    this.#peer.sendText(refusedAnswer(id, error));
  }

  #refuseBad({ id, error }: BadCommand): void {
    this.#badCommands += 1;
    this.#peer.sendText(refusedAnswer(id, error));
    if (this.#badCommands >= this.#host.limits.badCommandsMax) {
      this.#peer.close(policyCode, `${error.code}: too many frames in a row that are no commands.`);
    }
  }

  #closeIfIdle(): void {
    if (this.#leavingWith !== undefined && this.#underWay.isEmpty) {
      this.#peer.close(this.#leavingWith, 'going_away');
    }
  }
}
