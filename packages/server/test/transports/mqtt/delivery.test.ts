import { describe, expect, it } from 'vitest';
import type { GapNotice } from '@everywire/protocol';
import { Batch } from '../../../src/core/log/batch.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import type { Message } from '../../../src/core/log/message.ts';
import type { RetainedMessages } from '../../../src/core/seams/session-api.ts';
import type { Subscription } from '../../../src/core/seams/subscription-api.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import type { MqttConnection } from '../../../src/transports/mqtt/connection.ts';
import { Delivery } from '../../../src/transports/mqtt/delivery.ts';
import { SessionState, type MqttSubscription } from '../../../src/transports/mqtt/state.ts';
import { publishFormat, type PublishFormatOptions } from '../../../src/transports/mqtt/format.ts';
import { makeMessage } from '../../core/make-message.ts';

/** A connection as far as deliveries need one. */
class Rig {
  readonly state = new SessionState();
  readonly sent: Buffer[] = [];
  /** What the link answers. */
  takesMore = true;
  drainedCount = 0;
  /** Subscriptions that were started, by filter. */
  readonly started: string[] = [];
  readonly reads: ((messages: readonly Message[]) => void)[] = [];
  readonly delivery: Delivery;
  readonly client: { packetBytesMax: number; readonly [name: string]: unknown };

  constructor() {
    const session = {
      retained: () =>
        new Promise<RetainedMessages>((resolve) =>
          this.reads.push((messages) => resolve({ messages, throughSeq: Number.POSITIVE_INFINITY })),
        ),
      drained: () => (this.drainedCount += 1),
      creditAvailable: () => undefined,
    };
    this.client = {
      session,
      version: 5,
      link: { kind: 'tcp' },
      packetBytesMax: Number.POSITIVE_INFINITY,
      available: 100,
      opened: { state: this.state, isPersistent: false },
      isOpen: () => true,
      send: (bytes: Buffer) => {
        this.sent.push(bytes);
        return this.takesMore;
      },
      broker: {
        host: { clock: systemClock, limits: defaultLimits },
        figures: { publishSent: 0 },
        formats: { get: (options: PublishFormatOptions) => publishFormat(options) },
        nowMs: () => 0,
      },
    };
    this.delivery = new Delivery(this.client as unknown as MqttConnection);
  }

  subscription(filter: string, qos: 0 | 1): MqttSubscription {
    const subscription = this.state.add(
      filter,
      { kind: 'log', filter, isShared: false, from: undefined },
      { qos, noLocal: false, retainAsPublished: false, identifier: undefined, withCursor: false },
    );
    subscription.core = {
      tag: subscription,
      redeliveredThroughSeq: 0,
      ack: () => undefined,
      start: () => this.started.push(filter),
    } as unknown as Subscription;
    subscription.retained = { afterSeq: 0, throughSeq: 1_000 };
    return subscription;
  }

  bring(subscription: MqttSubscription, seq: number): boolean {
    return this.delivery.deliver(new Batch([makeMessage({ seq })]), subscription.core!);
  }
}

describe('what goes to an MQTT client', () => {
  it('does not send what waited for a subscription that has ended', async () => {
    const rig = new Rig();
    const subscription = rig.subscription('a', 1);
    rig.takesMore = false;
    expect(rig.bring(subscription, 1)).toBe(false);
    rig.delivery.retain(subscription);
    await expect.poll(() => rig.reads.length).toBe(1);
    rig.reads[0]!([makeMessage({ seq: 2 })]);
    rig.delivery.forget(subscription);
    rig.takesMore = true;
    rig.delivery.drained();
    expect(rig.sent).toHaveLength(1);
    await expect.poll(() => rig.drainedCount).toBe(1);
  });

  it('starts a subscription behind its retained messages', async () => {
    const rig = new Rig();
    const subscription = rig.subscription('a', 1);
    rig.delivery.retain(subscription);
    await expect.poll(() => rig.reads.length).toBe(1);
    expect(rig.started).toEqual([]);
    rig.reads[0]!([makeMessage({ seq: 1 })]);
    await expect.poll(() => rig.started).toEqual(['a']);
    expect(rig.bring(subscription, 2_000)).toBe(true);
    expect(rig.sent).toHaveLength(2);
    expect([...rig.state.inFlight.values()].map(({ seq }) => seq)).toEqual([1, 2_000]);
  });

  it('reads retained messages for one subscription after the other, however many ask at once', async () => {
    const rig = new Rig();
    for (let at = 0; at < 50; at += 1) rig.delivery.retain(rig.subscription(`a/${at}`, 0));
    for (let at = 1; at <= 50; at += 1) {
      await expect.poll(() => rig.reads.length, { interval: 1 }).toBe(at);
      rig.reads.at(-1)!([makeMessage({ seq: at })]);
    }
    await expect.poll(() => rig.sent.length).toBe(50);
  });

  it('continues with others when a subscription ends whose retained messages are being read', async () => {
    const rig = new Rig();
    const [ended, other] = [rig.subscription('a', 0), rig.subscription('b', 0)];
    rig.delivery.retain(ended);
    await expect.poll(() => rig.reads.length).toBe(1);
    rig.delivery.retain(other);
    rig.delivery.forget(ended);
    rig.reads[0]!([makeMessage({ seq: 1 })]);
    await expect.poll(() => rig.reads.length).toBe(2);
    rig.reads[1]!([]);
    await expect.poll(() => rig.started).toEqual(['b']);
    expect(rig.bring(other, 2)).toBe(true);
    expect(rig.sent).toHaveLength(1);
  });

  it('keeps news of a gap for later when a message fits without it and not with it', () => {
    const rig = new Rig();
    const subscription = rig.subscription('a', 1);
    subscription.retained = undefined;
    const notice = { channel: 'x'.repeat(200), reason: 'retention' } as unknown as GapNotice;
    subscription.gaps = [notice];
    rig.client.packetBytesMax = 150;
    expect(rig.bring(subscription, 1)).toBe(true);
    expect(rig.sent).toHaveLength(1);
    expect(subscription.gaps).toEqual([notice]);
    rig.client.packetBytesMax = 1_000;
    rig.bring(subscription, 2);
    expect(rig.sent[1]!.toString()).toContain('everywire-gap');
    expect(subscription.gaps).toBeUndefined();
  });
});
