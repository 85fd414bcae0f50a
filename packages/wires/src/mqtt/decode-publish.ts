import { rule } from './fault.ts';
import type { Fields } from './fields.ts';
import type { MqttFault, Publish, PublishProperties, Qos } from './packets.ts';
import { noProperties, readProperties } from './properties.ts';
import { hasWildcard } from './topics.ts';

const rules = {
  topicText: rule('3.3.2-1', '3.3.2-1'),
  wildcard: rule('3.3.2-2', '3.3.2-2'),
  empty: rule('§3.3.2.1', '4.7.3-1'),
  packetId: rule('2.2.1-3', '2.3.1-1'),
  subscriptionIdentifier: rule('3.3.4-6'),
};

/** `flags` are already checked. */
export function decodePublish(fields: Fields, flags: number, from: 'client' | 'server'): Publish | MqttFault {
  const qos = ((flags >> 1) & 3) as Qos;
  const topic = fields.readName(rules.topicText);
  const packetId = qos === 0 ? 0 : fields.readUint16();
  if (qos > 0 && packetId === 0)
    fields.refuse('protocol', rules.packetId, 'A packet identifier must not be 0.');
  const properties: PublishProperties =
    fields.version === 5 ? readProperties(fields, 'publish') : noProperties;
  if (!fields.hasFault()) checkPublish(fields, topic, properties, from);
  const payload = fields.readRest();
  return (
    fields.fault ?? {
      type: 'publish',
      topic,
      payload,
      qos,
      retain: (flags & 0x01) !== 0,
      dup: (flags & 0x08) !== 0,
      packetId,
      properties,
    }
  );
}

function checkPublish(
  fields: Fields,
  topic: string,
  properties: PublishProperties,
  from: 'client' | 'server',
): void {
  if (topic === '') {
    if (properties.topicAlias === undefined) {
      fields.refuse('protocol', rules.empty, 'A PUBLISH must have a topic or a topic alias.');
    }
  } else if (hasWildcard(topic)) {
    fields.refuse('topic', rules.wildcard, 'A topic name must not contain wildcards.');
  }
  if (from === 'client' && properties.subscriptionIdentifiers !== undefined) {
    fields.refuse(
      'protocol',
      rules.subscriptionIdentifier,
      'A PUBLISH of a client must not have a subscription identifier.',
    );
  }
}
