import { finish, readPacketId } from './decode-acks.ts';
import { rule } from './fault.ts';
import type { Fields } from './fields.ts';
import type { FilterRequest, MqttFault, Qos, Subscribe, Unsubscribe } from './packets.ts';
import { readProperties } from './properties.ts';
import { brokenFilterRule, isShared, isWellFormedShare } from './topics.ts';

const rules = {
  text: rule('3.8.3-1', '3.8.3-1'),
  none: rule('3.8.3-2', '3.8.3-3'),
  noLocal: rule('3.8.3-4'),
  reserved: rule('3.8.3-5', '3-8.3-4'),
  qos: rule('§3.8.3.1', '3-8.3-4'),
  retainHandling: rule('§3.8.3.1', '3-8.3-4'),
  unsubscribeText: rule('3.10.3-1', '3.10.3-1'),
  unsubscribeNone: rule('3.10.3-2', '3.10.3-2'),
  empty: rule('4.7.3-1', '4.7.3-1'),
  multiLevel: rule('4.7.1-1', '4.7.1-2'),
  singleLevel: rule('4.7.1-2', '4.7.1-3'),
};

export function decodeSubscribe(fields: Fields): Subscribe | MqttFault {
  const packetId = readPacketId(fields);
  const properties = readProperties(fields, 'subscribe');
  if (!fields.hasFault() && fields.isAtEnd()) {
    fields.refuse('protocol', rules.none, 'A SUBSCRIBE must have at least one filter.');
  }
  const filters: FilterRequest[] = [];
  while (!fields.isAtEnd()) filters.push(readRequest(fields));
  return finish(fields, { type: 'subscribe', packetId, filters, properties });
}

export function decodeUnsubscribe(fields: Fields): Unsubscribe | MqttFault {
  const packetId = readPacketId(fields);
  const properties = readProperties(fields, 'unsubscribe');
  if (!fields.hasFault() && fields.isAtEnd()) {
    fields.refuse('protocol', rules.unsubscribeNone, 'An UNSUBSCRIBE must have at least one filter.');
  }
  const filters: Unsubscribe['filters'][number][] = [];
  while (!fields.isAtEnd()) {
    const filter = fields.readName(rules.unsubscribeText);
    filters.push({ filter, isWellFormed: checkFilter(fields, filter) });
  }
  return finish(fields, { type: 'unsubscribe', packetId, filters, properties });
}

function readRequest(fields: Fields): FilterRequest {
  const filter = fields.readName(rules.text);
  const isWellFormed = checkFilter(fields, filter);
  const options = fields.readByte();
  checkOptions(fields, options, filter);
  return {
    filter,
    isWellFormed,
    qos: (options & 0x03) as Qos,
    noLocal: (options & 0x04) !== 0,
    retainAsPublished: (options & 0x08) !== 0,
    retainHandling: ((options >> 4) & 0x03) as 0 | 1 | 2,
  };
}

function checkOptions(fields: Fields, options: number, filter: string): void {
  if (fields.hasFault()) return;
  if (fields.version !== 5) {
    // One statement covers the reserved bits and QoS 3.
    if (options > 2) fields.refuse('malformed', rules.qos, 'The requested QoS must be 0, 1 or 2.');
    return;
  }
  if ((options & 0xc0) !== 0) {
    fields.refuse('malformed', rules.reserved, 'Reserved bits of the subscription options are not 0.');
  } else if ((options & 0x03) === 3) {
    fields.refuse('protocol', rules.qos, 'The maximum QoS is 3.');
  } else if ((options & 0x30) === 0x30) {
    fields.refuse('protocol', rules.retainHandling, 'The retain handling is 3.');
  } else if ((options & 0x04) !== 0 && isShared(filter)) {
    fields.refuse('protocol', rules.noLocal, 'A shared subscription must not have No Local.');
  }
}

/**
 * Whether the filter is valid. An empty filter is malformed in every version. For other faults, MQTT 5 has a code in
 * the SUBACK of each filter; 3.1.1 has no code, so the server closes the connection. As in Mosquitto, shared
 * subscriptions work in 3.1.1 too; a `$share` without group and filter is a normal filter there, and is refused as
 * such.
 */
function checkFilter(fields: Fields, filter: string): boolean {
  if (fields.hasFault()) return false;
  const broken = brokenFilterRule(filter);
  if (broken === 'empty') {
    fields.refuse('malformed', rules.empty, 'A filter must not be empty.');
    return false;
  }
  if (broken !== undefined) {
    if (fields.version === 5) return false;
    const broke = broken === 'multi-level' ? rules.multiLevel : rules.singleLevel;
    fields.refuse('malformed', broke, 'A wildcard must be alone in its level, and # must be at the end.');
    return false;
  }
  return !isShared(filter) || isWellFormedShare(filter);
}
