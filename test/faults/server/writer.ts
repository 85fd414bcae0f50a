import { setTimeout as sleep } from 'node:timers/promises';
import type { HistoryChecker } from '../checker/checker.ts';
import { nowNs, sightingOf } from './hopping-reader.ts';
import type { Outgoing, PublishWire } from './publish-wires.ts';

/** Before a publish without an answer is repeated. */
const repeatAfterMs = 25;

/** Publishes until `stop`. Repeats a publish without an answer, with the same publish id, until it gets one. */
export class Writer {
  readonly #wire: PublishWire;
  readonly #http: string;
  readonly #checker: HistoryChecker;
  readonly #name: string;
  #isStopped = false;
  #count = 0;
  accepted = 0;

  constructor(name: string, wire: PublishWire, http: string, checker: HistoryChecker) {
    this.#name = name;
    this.#wire = wire;
    this.#http = http;
    this.#checker = checker;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Publishes batches to `channels` in turn until `messagesMax` are accepted or it is stopped. */
  async run(options: {
    readonly channels: readonly string[];
    readonly batch: number;
    readonly messagesMax: number;
    readonly pauseMs: number;
    readonly onAccepted?: () => void;
  }): Promise<void> {
    const { channels, batch, messagesMax, pauseMs, onAccepted } = options;
    while (!this.#isStopped && this.accepted < messagesMax) {
      const messages = Array.from({ length: batch }, () => this.#next(channels));
      await this.#publish(messages, onAccepted);
      if (pauseMs > 0) await sleep(pauseMs);
    }
    this.#wire.close();
  }

  #next(channels: readonly string[]): Outgoing {
    this.#count += 1;
    const value = `${this.#name}-${this.#count}`;
    return { channel: channels[this.#count % channels.length]!, value, key: value };
  }

  async #publish(messages: readonly Outgoing[], onAccepted?: () => void): Promise<void> {
    let left = messages;
    while (left.length > 0) {
      for (const { channel, value } of left)
        this.#checker.record({ kind: 'publish', atNs: nowNs(), client: this.#name, channel, value });
      const answers = await this.#wire.publish(this.#http, left);
      const repeat: Outgoing[] = [];
      for (const [at, message] of left.entries()) {
        const answer = answers[at];
        if (answer === undefined) {
          this.#checker.record({ kind: 'unknown', atNs: nowNs(), value: message.value });
          repeat.push(message);
        } else if ('refused' in answer) {
          this.#checker.record({ kind: 'refused', atNs: nowNs(), value: message.value });
          throw new Error(`${this.#name} was refused: ${answer.refused}`);
        } else {
          const { offset, cursor } = answer;
          const seen = sightingOf({ channel: message.channel, offset, cursor, data: message.value });
          this.#checker.record({ kind: 'accepted', atNs: nowNs(), ...seen });
          this.accepted += 1;
          onAccepted?.();
        }
      }
      // Without a publish id a repeat would be another message.
      if (!this.#wire.isAnswered) {
        this.accepted += messages.length;
        return;
      }
      left = repeat;
      if (left.length > 0) {
        if (this.#isStopped) return;
        await sleep(repeatAfterMs);
      }
    }
  }
}
