import { payloadMember, timeOfId, writeEnvelope } from '@everywire/protocol';
import type { Publish, ServerPacket, UserProperties } from '@everywire/wires/mqtt';
import { draftOf } from '../../../server/src/transports/mqtt/convert.ts';
import { checkReason, openMqtt, propertyOf } from './client.ts';
import { Refused } from '../http/request.ts';
import type { Arrival, Reader, Start } from '../reader.ts';

const packetId = 1;

/**
 * Follows by MQTT 5, over TCP or WebSocket, at QoS 0: the cursor that comes with each message is what nothing is lost
 * by, and acknowledging as well would only say it twice.
 */
export const readByMqtt: Reader = async function* (target, start, signal) {
  const client = await openMqtt(target, signal);
  try {
    const filter = {
      filter: target.channel.split('/').map(wildcardOf).join('/'),
      isWellFormed: true,
      qos: 0,
      noLocal: false,
      retainAsPublished: false,
      // Retained messages are of the past, and would come before the place that was asked for.
      retainHandling: 2,
    } as const;
    client.send({
      type: 'subscribe',
      packetId,
      filters: [filter],
      properties: { userProperties: [['cursor', 'on'], ...startProperties(start)] },
    });
    for (;;) yield* toArrivals(await client.next());
  } finally {
    client.close();
  }
};

/** `*` and `**` as MQTT writes them. */
function wildcardOf(level: string): string {
  return level === '**' ? '#' : level === '*' ? '+' : level;
}

function startProperties({ after, since }: Start): UserProperties {
  if (after !== undefined) return [['after', after]];
  return since === undefined ? [] : [['since', since]];
}

function* toArrivals(packet: ServerPacket): Generator<Arrival, void, undefined> {
  if (packet.type === 'suback') {
    const { reasonString, userProperties } = packet.properties;
    checkReason('SUBSCRIBE', packet.reasonCodes[0] ?? 0x80, reasonString);
    yield { kind: 'open' };
    const cursor = propertyOf(userProperties, 'cursor');
    if (cursor !== undefined) yield { kind: 'position', cursor };
  }
  if (packet.type === 'publish') {
    yield* gapsOf(packet.properties.userProperties);
    yield toMessage(packet);
  }
}

function* gapsOf(properties: UserProperties = []): Generator<Arrival, void, undefined> {
  for (const [name, text] of properties) {
    if (name !== 'everywire-gap') continue;
    const { cursor } = JSON.parse(text) as { readonly cursor?: string };
    yield { kind: 'gap', cursor, text };
  }
}

/** What the server adds when it is asked for cursors. */
const own: ReadonlySet<string> = new Set(['cursor', 'offset']);

function toMessage(packet: Publish): Arrival {
  const { topic, payload, properties } = packet;
  const { userProperties = [] } = properties;
  const cursor = propertyOf(userProperties, 'cursor');
  const offset = propertyOf(userProperties, 'offset');
  if (cursor === undefined || offset === undefined) {
    throw new Refused('a PUBLISH came without its cursor; is this an Everywire server?', {});
  }
  const id = propertyOf(userProperties, 'everywire-id') ?? '';
  // Of a message that has no content type: what the server takes it for as well.
  const type = draftOf(packet).type ?? 'application/octet-stream';
  const fields = {
    channel: topic,
    offset: Number(offset),
    cursor,
    id,
    timeMs: timeOfId(id),
    type,
    event: propertyOf(userProperties, 'everywire-event'),
    from: propertyOf(userProperties, 'everywire-from'),
    headers: new Map(userProperties.filter(([name]) => !own.has(name) && !/^everywire-/i.test(name))),
  };
  return { kind: 'message', cursor, text: writeEnvelope(fields, payloadMember(type, payload)) };
}
