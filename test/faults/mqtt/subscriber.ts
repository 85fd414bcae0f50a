import { parseCursor } from '@everywire/protocol';
import type { RawClient } from '../../clients/mqtt/raw-client.ts';
import type { Publish, ServerPacket } from '@everywire/wires/mqtt';
import type { HistoryChecker } from '../checker/checker.ts';
import { nowNs, sightingOf } from '../server/hopping-reader.ts';
import { Device, type DeviceOptions } from './device.ts';

/**
 * Follows a filter at QoS 1 or 2. At QoS 2 it acts on a packet id once until it is released, as the standard asks, so
 * that a message which is acted on twice is the server's fault. In MQTT 5 it asks for cursors and writes a history.
 */
export class SubscriberDevice extends Device {
  readonly #qos: 1 | 2;
  readonly filter: string;
  readonly #checker: HistoryChecker | undefined;
  /** Packet ids acted on and not released. */
  readonly #received = new Set<number>();
  #isSubscribed = false;
  /** What it acted on, in order. */
  readonly values: string[] = [];
  seq = 0;
  redelivered = 0;
  #acted: () => void = () => undefined;
  /** Resolves when it follows. */
  readonly following: Promise<void>;

  constructor(
    options: DeviceOptions & {
      readonly qos: 1 | 2;
      readonly filter: string;
      readonly checker?: HistoryChecker;
    },
  ) {
    super(options);
    this.#qos = options.qos;
    this.filter = options.filter;
    this.#checker = options.checker;
    this.following = new Promise((resolve) => (this.#acted = resolve));
  }

  protected async connected(client: RawClient): Promise<void> {
    if (this.#isSubscribed) return;
    const asked = this.version === 5 ? ([['cursor', 'on']] as const) : [];
    const granted = await client.subscribe(
      this.filter,
      { qos: this.#qos },
      asked.length === 0 ? {} : { userProperties: asked },
    );
    if (granted !== this.#qos) throw new Error(`${this.name} was granted ${granted}`);
    this.#isSubscribed = true;
    const afterSeq = undefined;
    this.#checker?.record({
      kind: 'start',
      atNs: nowNs(),
      subscriber: this.name,
      filters: [this.filter.replace('#', '**')],
      afterSeq,
    });
    this.#acted();
  }

  protected received(client: RawClient, packet: ServerPacket): void {
    if (packet.type === 'pubrel') {
      this.#received.delete(packet.packetId);
      client.ack('pubcomp', packet.packetId);
    } else if (packet.type === 'publish') {
      this.#take(packet);
      if (packet.qos === 1) client.ack('puback', packet.packetId);
      if (packet.qos === 2) client.ack('pubrec', packet.packetId);
    }
  }

  #take(packet: Publish): void {
    const { qos, packetId, dup, topic, payload, properties } = packet;
    if (qos === 2) {
      if (this.#received.has(packetId)) return;
      this.#received.add(packetId);
    }
    if (dup) this.redelivered += 1;
    const value = payload.toString();
    this.values.push(value);
    const said = new Map(properties.userProperties);
    const cursor = said.get('cursor');
    if (cursor === undefined) return;
    const { seq } = parseCursor(cursor)!;
    this.seq = Math.max(this.seq, seq);
    this.#checker?.record({
      kind: 'delivered',
      atNs: nowNs(),
      subscriber: this.name,
      // At QoS 2 nothing may be acted on again, marked or not.
      redelivered: dup && qos === 1,
      ...sightingOf({ channel: topic, offset: Number(said.get('offset')), cursor, data: value }),
    });
  }
}
