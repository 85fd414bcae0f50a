import { frame, opcodes } from '@everywire/wires/websocket';
import { encodePacket, type Publish, type Qos, type UserProperties } from '@everywire/wires/mqtt';
import { Batch, type WireFormat } from '../../core/log/batch.ts';
import type { Message } from '../../core/log/message.ts';
import type { MqttClient } from './client.ts';
import { propertiesOf, withPlace } from './convert.ts';
import { fillPacketIds, packetBytes } from './format.ts';
import type { InFlight, MqttSubscription, SubscriptionOptions } from './state.ts';

/** User property with a gap notice in JSON. */
const gapProperty = 'everywire-gap';

/** The format of a subscription's deliveries to this client; `live` is kept with the subscription. */
export function formatFor(
  client: MqttClient,
  batch: Batch,
  subscription: MqttSubscription,
  how: 'live' | 'again' | 'retained' = 'live',
): WireFormat {
  const { options } = subscription;
  if (how === 'live' && !batch.mayExpire && subscription.format !== undefined) return subscription.format;
  const format = formatOf(client, batch, options, {
    qos: options.qos,
    isRetained: how === 'retained',
    dup: how === 'again',
  });
  if (how === 'live' && !batch.mayExpire) subscription.format = format;
  return format;
}

/** The same bytes as the first time except for DUP, also if its subscription has ended or was replaced. */
export function encodeAgain(client: MqttClient, message: Message, sent: InFlight): Buffer | undefined {
  const { qos, packetId, origin, subscription } = sent;
  const batch = new Batch([message]);
  const how = { qos, dup: true, isRetained: origin === 'retained' };
  const encoded = batch.as(formatOf(client, batch, subscription.options, how));
  if (packetBytes(encoded, 0, client.link.kind) > client.packetBytesMax) return undefined;
  return fillPacketIds(encoded, [packetId]);
}

function formatOf(
  { broker, version, link }: MqttClient,
  { mayExpire }: Batch,
  { retainAsPublished, withCursor, identifier }: SubscriptionOptions,
  { qos, dup, isRetained }: { readonly qos: Qos; readonly dup: boolean; readonly isRetained: boolean },
): WireFormat {
  return broker.formats.get({
    version,
    link: link.kind,
    qos,
    retain: isRetained ? 'set' : retainAsPublished ? 'as-published' : 'clear',
    dup,
    withCursor,
    subscriptionIdentifiers: identifier === undefined ? [] : [identifier],
    nowMs: mayExpire ? broker.nowMs() : undefined,
  });
}

/** The bytes in the form of the link; `undefined` if they exceed the client's maximum packet size. */
export function encodePublish(
  client: MqttClient,
  message: Message,
  subscription: MqttSubscription,
  { qos, dup, packetId }: { readonly qos: 0 | 1 | 2; readonly dup: boolean; readonly packetId: number },
): Buffer | undefined {
  if (subscription.gaps !== undefined) {
    const packet = withGaps(message, subscription, {
      qos,
      dup,
      packetId,
      nowMs: client.broker.nowMs(),
    });
    const bytes = encodePacket(packet, 5, client.packetBytesMax);
    if (bytes !== undefined) {
      subscription.gaps = undefined;
      return client.link.kind === 'tcp' ? bytes : frame(opcodes.binary, bytes);
    }
    // The message may fit without the gap notices, which then wait for a smaller message.
  }
  const batch = new Batch([message]);
  const encoded = batch.as(formatFor(client, batch, subscription, dup ? 'again' : 'live'));
  if (packetBytes(encoded, 0, client.link.kind) > client.packetBytesMax) return undefined;
  return qos === 0 ? encoded.bytes : fillPacketIds(encoded, [packetId]);
}

/** The part of a message that the session keeps while it is in flight. */
export function flightOf(message: Message, qos: 1 | 2): Pick<InFlight, 'qos' | 'seq' | 'channel' | 'timeMs'> {
  return { qos, seq: message.seq, channel: message.channel, timeMs: message.timeMs };
}

function withGaps(
  message: Message,
  { gaps, options }: MqttSubscription,
  flags: {
    readonly qos: 0 | 1 | 2;
    readonly dup: boolean;
    readonly packetId: number;
    readonly nowMs: number;
  },
): Publish {
  const { qos, dup, packetId, nowMs } = flags;
  const properties = propertiesOf(message, nowMs);
  const told: UserProperties = (gaps ?? []).map((gap) => [gapProperty, JSON.stringify(gap)] as const);
  const said = properties.userProperties ?? [];
  return {
    type: 'publish',
    topic: message.channel,
    payload: message.payload,
    qos,
    retain: options.retainAsPublished && message.retain,
    dup,
    packetId,
    properties: {
      ...properties,
      ...(options.identifier === undefined ? {} : { subscriptionIdentifiers: [options.identifier] }),
      userProperties: [...(options.withCursor ? withPlace(said, message) : said), ...told],
    },
  };
}
