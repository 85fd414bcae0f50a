import { openAccess } from '../../src/core/sessions/access.ts';
import type { Batch } from '../../src/core/log/batch.ts';
import { createHub, type Hub, type HubOptions } from '../../src/core/hub.ts';
import { defaultLimits } from '../../src/config/limits.ts';
import { createNamespaces, defaultRules } from '../../src/core/log/namespaces.ts';
import type { Log } from '../../src/core/seams/log.ts';
import type { Session } from '../../src/core/seams/session-api.ts';
import type { Notice, Sink } from '../../src/core/seams/sink.ts';
import type { SubscribeOptions, Subscription } from '../../src/core/seams/subscription-api.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { createMemoryStore } from '../../src/stores/memory/store.ts';

/** A hub on the memory store, and sinks that write down what they are handed. */
export async function startHub(options: Partial<HubOptions> = {}): Promise<Hub> {
  const random = createSystemRandom();
  const limits = options.limits ?? defaultLimits;
  const hub = createHub({
    store: createMemoryStore({ clock: systemClock, random, limits }),
    clock: systemClock,
    random,
    access: openAccess,
    namespaces: createNamespaces([], defaultRules, limits),
    limits,
    log: silentLog,
    ...options,
  });
  await hub.start();
  return hub;
}

const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export class RecordingSink implements Sink {
  readonly batches: Batch[] = [];
  readonly notices: Notice[] = [];
  /** What the next deliveries answer. */
  takesMore = true;
  onDeliver: ((batch: Batch, subscription: Subscription) => void) | undefined;
  #wanted: { readonly count: number; readonly resolve: () => void } | undefined;

  get texts(): string[] {
    return this.batches.flatMap((batch) => batch.messages.map((message) => message.payload.toString()));
  }

  deliver(batch: Batch, subscription: Subscription): boolean {
    this.batches.push(batch);
    this.onDeliver?.(batch, subscription);
    if (this.#wanted !== undefined && this.texts.length >= this.#wanted.count) this.#wanted.resolve();
    return this.takesMore;
  }

  notify(notice: Notice): void {
    this.notices.push(notice);
  }

  close(): void {
    throw new Error('nothing in these tests is closed by the hub');
  }

  /** Resolves once `count` messages have arrived in all. */
  async received(count: number): Promise<string[]> {
    if (this.texts.length < count) {
      await new Promise<void>((resolve) => {
        this.#wanted = { count, resolve };
      });
    }
    return this.texts;
  }
}

export async function openSession(hub: Hub, sink: Sink = new RecordingSink()): Promise<Session> {
  const identity = await hub.authenticate({ token: undefined, address: undefined });
  return hub.open(identity, { transport: 'test' }, sink);
}

/** Subscribes and starts at once, as a transport does that has nothing to save. */
export async function follow(
  session: Session,
  filter: string,
  options: SubscribeOptions = {},
): Promise<Subscription> {
  const subscription = await session.subscribe(filter, options);
  subscription.start();
  return subscription;
}

export function publishText(session: Session, channel: string, text: string) {
  return session.publish(channel, { payload: Buffer.from(text), type: 'text/plain' });
}
