import { errorTable, reasonOf, type ErrorCode, type EverywireError } from '@everywire/protocol';
import { reasonCodes, type Packet, type Properties, type ReasonCode } from '@everywire/wires/mqtt';

/** The reason code of a refusal in MQTT 5, by its packet: each packet allows only some codes (§3.2.2.2, §3.4.2.1, §3.9.3). */

const connack: Partial<Record<ErrorCode, ReasonCode>> = {
  unauthorized: reasonCodes.badUserNameOrPassword,
  store_unavailable: reasonCodes.serverUnavailable,
  store_full: reasonCodes.serverUnavailable,
  slow_peer: reasonCodes.serverBusy,
  rate_limited: reasonCodes.connectionRateExceeded,
  invalid: reasonCodes.implementationSpecificError,
  bad_cursor: reasonCodes.implementationSpecificError,
};

const puback: Partial<Record<ErrorCode, ReasonCode>> = {
  malformed: reasonCodes.payloadFormatInvalid,
  invalid: reasonCodes.implementationSpecificError,
  too_large: reasonCodes.quotaExceeded,
  rate_limited: reasonCodes.quotaExceeded,
  store_unavailable: reasonCodes.implementationSpecificError,
  going_away: reasonCodes.implementationSpecificError,
  timed_out: reasonCodes.implementationSpecificError,
  session_taken: reasonCodes.implementationSpecificError,
};

const suback: Partial<Record<ErrorCode, ReasonCode>> = {
  bad_name: reasonCodes.topicFilterInvalid,
  bad_cursor: reasonCodes.topicFilterInvalid,
  invalid: reasonCodes.topicFilterInvalid,
  too_large: reasonCodes.topicFilterInvalid,
  rate_limited: reasonCodes.quotaExceeded,
  store_unavailable: reasonCodes.implementationSpecificError,
  going_away: reasonCodes.implementationSpecificError,
};

const of = (table: Partial<Record<ErrorCode, ReasonCode>>, { code }: EverywireError): number =>
  table[code] ?? errorTable[code].mqtt;

export const connackReason = (error: EverywireError): number => of(connack, error);
/** For PUBACK and PUBREC. */
export const pubackReason = (error: EverywireError): number => of(puback, error);
export const subackReason = (error: EverywireError): number => of(suback, error);
export const disconnectReason = (error: EverywireError): number => errorTable[error.code].mqtt;

/** The packet for a client that asked for no problem information [MQTT-3.1.2-29]. */
export function withoutReasons(packet: Packet): Packet {
  const { type } = packet;
  if (!('properties' in packet) || type === 'publish' || type === 'connack' || type === 'disconnect')
    return packet;
  const { reasonString, userProperties, ...properties }: Properties = packet.properties;
  if (reasonString === undefined && userProperties === undefined) return packet;
  return { ...packet, properties } as Packet;
}

/** Reason strings begin with the code, as close reasons do elsewhere. */
export const reasonString = reasonOf;
