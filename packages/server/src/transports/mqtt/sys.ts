import { createRequire } from 'node:module';
import { loadavg } from 'node:os';
import { matches, type Filter } from '@everywire/protocol';
import type { Packet } from '@everywire/wires/mqtt';
import type { Clock, Timer } from '../../core/clock.ts';
import type { Figures } from '../../core/seams/hub-api.ts';
import type { MqttFigures } from './figures.ts';
import type { MqttSubscription } from './state.ts';

const { version } = createRequire(import.meta.url)('../../../package.json') as { readonly version: string };

/** A client that follows `$SYS`. */
export interface SysClient {
  readonly link: { readonly unsentBytes: number };
  answer(packet: Packet): void;
}

export interface SysOptions {
  readonly clock: Clock;
  /** A client with more than this unsent is skipped. */
  readonly heldFromBytes: number;
  readonly figures: MqttFigures;
  readonly hubFigures: Readonly<Figures>;
  /** The number of kept sessions, of connected and absent clients. */
  readonly sessionsStored: () => number;
  readonly everyMs: number;
}

interface Follower {
  readonly client: SysClient;
  readonly subscription: MqttSubscription;
  readonly filter: Filter;
}

/** The broker's own figures under `$SYS/broker`, with the names of Mosquitto. Without a subscriber they cost nothing. */
export class SysTopics {
  readonly #options: SysOptions;
  readonly #startedMs: number;
  readonly #followers = new Map<MqttSubscription, Follower>();
  #timer: Timer | undefined;

  constructor(options: SysOptions) {
    this.#options = options;
    this.#startedMs = options.clock.monotonicMs();
  }

  /** Sends the figures at intervals; with `isToldNow` also at once, like retained messages. */
  add(client: SysClient, subscription: MqttSubscription, isToldNow: boolean): void {
    const follower = { client, subscription, filter: filterOf(subscription.target.filter) };
    this.#followers.set(subscription, follower);
    if (isToldNow) this.#tell(follower, this.#topics(), true);
    this.#timer ??= this.#options.clock.after(this.#options.everyMs, this.#tick);
  }

  remove(subscription: MqttSubscription): void {
    this.#followers.delete(subscription);
    if (this.#followers.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  readonly #tick = (): void => {
    const topics = this.#topics();
    for (const follower of this.#followers.values()) this.#tell(follower, topics, false);
    this.#timer = this.#options.clock.after(this.#options.everyMs, this.#tick);
  };

  #tell(
    { client, subscription, filter }: Follower,
    topics: ReadonlyMap<string, string>,
    retain: boolean,
  ): void {
    const { heldFromBytes } = this.#options;
    const { identifier } = subscription.options;
    const properties = identifier === undefined ? {} : { subscriptionIdentifiers: [identifier] };
    for (const [topic, value] of topics) {
      // A client that does not read misses these figures, and gets the next ones.
      if (client.link.unsentBytes > heldFromBytes) return;
      if (!matches(filter, topic)) continue;
      client.answer({
        type: 'publish',
        topic,
        payload: Buffer.from(value),
        qos: 0,
        retain: retain || subscription.options.retainAsPublished,
        dup: false,
        packetId: 0,
        properties,
      });
    }
  }

  #topics(): ReadonlyMap<string, string> {
    const { clock, figures, hubFigures, sessionsStored } = this.#options;
    const uptimeSeconds = Math.floor((clock.monotonicMs() - this.#startedMs) / 1_000);
    const connected = figures.connections;
    const total = Math.max(connected, sessionsStored());
    const load = loadavg();
    const values: Record<string, string | number> = {
      version: `everywire version ${version}`,
      uptime: `${uptimeSeconds} seconds`,
      'clients/total': total,
      'clients/maximum': figures.connectionsMaximum,
      'clients/connected': connected,
      'clients/active': connected,
      'clients/disconnected': total - connected,
      'clients/inactive': total - connected,
      'messages/received': figures.packetsReceived,
      'messages/sent': figures.packetsSent + figures.publishSent,
      'messages/stored': hubFigures.published,
      'store/messages/count': hubFigures.published,
      'publish/messages/received': figures.publishReceived,
      'publish/messages/sent': figures.publishSent,
      'publish/messages/dropped': figures.publishDropped,
      'publish/bytes/received': figures.publishBytesReceived,
      'bytes/received': figures.bytesReceived,
      'bytes/sent': figures.bytesSent,
      'subscriptions/count': figures.subscriptions,
      'load/system/1min': load[0]!.toFixed(2),
      'load/system/5min': load[1]!.toFixed(2),
      'load/system/15min': load[2]!.toFixed(2),
    };
    return new Map(Object.entries(values).map(([name, value]) => [`$SYS/broker/${name}`, String(value)]));
  }
}

/** The hub's parser refuses names of the server, which are allowed here. */
function filterOf(text: string): Filter {
  const levels = text.split('/').map((level) => (level === '+' ? '*' : level === '#' ? '**' : level));
  const isExact = !levels.some((level) => level === '*' || level === '**');
  return { text, levels, channel: isExact ? text : undefined };
}
