import { finish, readReasonCode } from './decode-acks.ts';
import { rule } from './fault.ts';
import type { Fields } from './fields.ts';
import type { Connack, MqttFault } from './packets.ts';
import { readProperties } from './properties.ts';
import { reasonCodeOfReturn } from './reason-codes.ts';

const rules = {
  flags: rule('3.2.2-1', '§3.2.2.1'),
  sessionPresent: rule('3.2.2-6', '3.2.2-4'),
  returnCode: rule('3.2.2-8', '§3.2.2.3'),
};

export function decodeConnack(fields: Fields): Connack | MqttFault {
  const flags = fields.readByte();
  // MQTT 3.1 has no session present flag; the byte is unused.
  if (flags > 1 && fields.version !== 3) {
    fields.refuse('malformed', rules.flags, 'Reserved bits of a CONNACK are not 0.');
  }
  const sessionPresent = fields.version !== 3 && (flags & 1) === 1;
  const reasonCode = fields.version === 5 ? readReasonCode(fields, 'connack') : readReturnCode(fields);
  if (sessionPresent && reasonCode !== 0) {
    fields.refuse('protocol', rules.sessionPresent, 'A refused connection must not have session present.');
  }
  const properties = readProperties(fields, 'connack');
  return finish(fields, { type: 'connack', sessionPresent, reasonCode, properties });
}

function readReturnCode(fields: Fields): number {
  const reasonCode = reasonCodeOfReturn(fields.readByte());
  if (reasonCode === undefined) {
    fields.refuse('malformed', rules.returnCode, 'Unknown return code.');
    return 0;
  }
  return reasonCode;
}
