import { frame, opcodes } from '@everywire/wires/websocket';
import { encodePacket, type Publish, type UserProperties } from '@everywire/wires/mqtt';
import { Batch, type WireFormat } from '../../core/log/batch.ts';
import type { Message } from '../../core/log/message.ts';
import type { MqttClient } from './client.ts';
import { propertiesOf, withPlace } from './convert.ts';
import { fillPacketIds, packetBytes } from './format.ts';
import type { InFlight, MqttSubscription } from './state.ts';

/** User property that tells of a gap, as the JSON of a gap notice. */
const gapProperty = 'everywire-gap';

/** The format of what a subscription brings on this client; `live` is kept with the subscription. */
export function formatFor(
  client: MqttClient,
  batch: Batch,
  subscription: MqttSubscription,
  how: 'live' | 'again' | 'retained' = 'live',
): WireFormat {
  const { broker, version, link } = client;
  const { options } = subscription;
  if (how === 'live' && !batch.mayExpire && subscription.format !== undefined) return subscription.format;
  const format = broker.formats.get({
    version,
    link: link.kind,
    qos: options.qos,
    retain: how === 'retained' ? 'set' : options.retainAsPublished ? 'as-published' : 'clear',
    dup: how === 'again',
    withCursor: options.withCursor,
    subscriptionIdentifiers: options.identifier === undefined ? [] : [options.identifier],
    nowMs: batch.mayExpire ? broker.nowMs() : undefined,
  });
  if (how === 'live' && !batch.mayExpire) subscription.format = format;
  return format;
}

/** The bytes as the link takes them; `undefined` when the client said that it does not take so many. */
export function encodePublish(
  client: MqttClient,
  message: Message,
  subscription: MqttSubscription,
  { qos, dup, packetId }: { readonly qos: 0 | 1 | 2; readonly dup: boolean; readonly packetId: number },
): Buffer | undefined {
  const { gaps } = subscription;
  if (gaps !== undefined) {
    const packet = withGaps(message, subscription, {
      qos,
      dup,
      packetId,
      nowMs: client.broker.nowMs(),
    });
    const bytes = encodePacket(packet, 5, client.packetBytesMax);
    if (bytes === undefined) return undefined;
    subscription.gaps = undefined;
    return client.link.kind === 'tcp' ? bytes : frame(opcodes.binary, bytes);
  }
  const batch = new Batch([message]);
  const encoded = batch.as(formatFor(client, batch, subscription, dup ? 'again' : 'live'));
  if (packetBytes(encoded, 0, client.link.kind) > client.packetBytesMax) return undefined;
  return qos === 0 ? encoded.bytes : fillPacketIds(encoded, [packetId]);
}

/** What its session keeps of a message on its way to the client. */
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
