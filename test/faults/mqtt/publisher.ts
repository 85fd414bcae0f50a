import type { HistoryChecker } from '../checker/checker.ts';
import { nowNs, sightingOf } from '../server/hopping-reader.ts';
import type { RawClient } from '../../clients/mqtt/raw-client.ts';
import type { ServerPacket } from '@everywire/wires/mqtt';
import { Device, type DeviceOptions } from './device.ts';

/** Publishes that may be unanswered at once. */
const windowMessages = 10;

interface Unfinished {
  readonly channel: string;
  readonly value: string;
  isReleased: boolean;
}

/**
 * Publishes at QoS 1 or 2 for as long as it runs, and sends again what was not acknowledged, as the standard asks. At QoS
 * 1 in MQTT 5 it gives publish ids, so that a repetition is no second message either.
 */
export class PublisherDevice extends Device {
  readonly #qos: 1 | 2;
  readonly #channels: readonly string[];
  readonly #checker: HistoryChecker;
  readonly #unfinished = new Map<number, Unfinished>();
  /** Told to be stored: PUBACK, or PUBREC. */
  readonly accepted = new Set<string>();
  #count = 0;
  #lastPacketId = 0;
  #isDone = false;
  onAccepted: () => void = () => undefined;

  constructor(
    options: DeviceOptions & {
      readonly qos: 1 | 2;
      readonly channels: readonly string[];
      readonly checker: HistoryChecker;
    },
  ) {
    super(options);
    this.#qos = options.qos;
    this.#channels = options.channels;
    this.#checker = options.checker;
  }

  /** Publishes nothing new; resolves when everything is answered. */
  async finish(): Promise<void> {
    this.#isDone = true;
    while (this.#unfinished.size > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    this.stop();
    await this.finished;
  }

  protected async connected(client: RawClient): Promise<void> {
    for (const [packetId, { channel, value, isReleased }] of this.#unfinished) {
      if (isReleased) client.ack('pubrel', packetId);
      else this.#send(client, packetId, channel, value, true);
    }
    this.#fill(client);
  }

  protected received(client: RawClient, packet: ServerPacket): void {
    if (packet.type === 'puback') {
      this.#accept(packet.packetId, packet.properties.userProperties);
      this.#unfinished.delete(packet.packetId);
    } else if (packet.type === 'pubrec') {
      const one = this.#unfinished.get(packet.packetId);
      if (packet.reasonCode >= 0x80) throw new Error(`${this.name}: PUBREC ${packet.reasonCode}`);
      if (one !== undefined) one.isReleased = true;
      this.#accept(packet.packetId, undefined);
      client.ack('pubrel', packet.packetId);
    } else if (packet.type === 'pubcomp') {
      this.#unfinished.delete(packet.packetId);
    }
    this.#fill(client);
  }

  #fill(client: RawClient): void {
    while (!this.#isDone && this.#unfinished.size < windowMessages) {
      this.#count += 1;
      const channel = this.#channels[this.#count % this.#channels.length]!;
      const value = `${this.name}-${this.#count}`;
      // Few, so that they are used again and again.
      do this.#lastPacketId = (this.#lastPacketId % 20) + 1;
      while (this.#unfinished.has(this.#lastPacketId));
      this.#unfinished.set(this.#lastPacketId, { channel, value, isReleased: false });
      this.#checker.record({ kind: 'publish', atNs: nowNs(), client: this.name, channel, value });
      this.#send(client, this.#lastPacketId, channel, value, false);
    }
  }

  #send(client: RawClient, packetId: number, channel: string, value: string, dup: boolean): void {
    const isKeyed = this.#qos === 1 && this.version === 5;
    client.publish(channel, value, {
      qos: this.#qos,
      packetId,
      dup,
      properties: isKeyed ? { userProperties: [['everywire-key', value]] } : {},
    });
  }

  #accept(packetId: number, said: readonly (readonly [string, string])[] | undefined): void {
    const one = this.#unfinished.get(packetId);
    if (one === undefined) return;
    const { channel, value } = one;
    const receipt = new Map(said);
    const cursor = receipt.get('cursor');
    if (cursor !== undefined) {
      const offset = Number(receipt.get('offset'));
      this.#checker.record({
        kind: 'accepted',
        atNs: nowNs(),
        ...sightingOf({ channel, offset, cursor, data: value }),
      });
    }
    this.accepted.add(value);
    this.onAccepted();
  }
}
