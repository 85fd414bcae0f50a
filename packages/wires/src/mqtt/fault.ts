import type { MqttFault, Version } from './packets.ts';
import { reasonCodes } from './reason-codes.ts';

/** Statement numbers of one rule in the two standards; MQTT 3.1 has none, and is held to those of 3.1.1. */
export interface Rule {
  readonly five: string;
  readonly older: string;
}

export function rule(five: string, older = '4.8.0-1'): Rule {
  return { five, older };
}

type Kind = MqttFault['kind'];

const codes: Record<Kind, MqttFault['reasonCode']> = {
  malformed: reasonCodes.malformedPacket,
  protocol: reasonCodes.protocolError,
  version: reasonCodes.unsupportedProtocolVersion,
  identifier: reasonCodes.clientIdentifierNotValid,
  topic: reasonCodes.topicNameInvalid,
  too_large: reasonCodes.packetTooLarge,
};

export interface FaultOptions {
  readonly kind: Kind;
  readonly rule: Rule;
  readonly version: Version | undefined;
  readonly detail: string;
  /** The reason code, if it differs from that of the kind. */
  readonly reasonCode?: MqttFault['reasonCode'];
}

export function fault({ kind, rule, version, detail, reasonCode = codes[kind] }: FaultOptions): MqttFault {
  return {
    type: 'fault',
    kind,
    reasonCode,
    statement: version === undefined || version === 5 ? rule.five : rule.older,
    detail,
  };
}
