import type { EverywireError } from '@everywire/protocol';
import {
  connackReturnCode,
  reasonCodes,
  type Connack,
  type ConnackProperties,
  type Connect,
  type Version,
} from '@everywire/wires/mqtt';
import type { Random } from '../../core/clock.ts';
import { messageBytesMax } from '../../core/message-bounds.ts';
import { isTokenMethod } from './authentication.ts';
import type { MqttHost, MqttLimits } from './limits.ts';
import { connackReason } from './reasons.ts';
import { isBridgeState } from './targets.ts';
import { neverExpires, type OpenRequest } from './open-session.ts';

/** The refusal in a CONNACK. */
export interface ConnectRefusal {
  readonly reasonCode: number;
  readonly detail: string;
}

/** Why a CONNECT is refused, for every client. */
export function refusalOfConnect(packet: Connect, limits: MqttLimits): ConnectRefusal | undefined {
  const { version, clientId, cleanStart, properties } = packet;
  const method = properties.authenticationMethod;
  if (method !== undefined && !isTokenMethod(method)) {
    return {
      reasonCode: reasonCodes.badAuthenticationMethod,
      detail: 'The authentication method must be jwt, with a token as its data.',
    };
  }
  const reasonCode = reasonCodes.clientIdentifierNotValid;
  if (clientId === '' && version !== 5 && !cleanStart)
    return { reasonCode, detail: 'A session without clean start needs a client id.' };
  if (version !== 5 && serverKeepAliveSeconds(packet, limits) !== undefined)
    return { reasonCode, detail: 'The keep alive is longer than limits.mqttKeepAliveSecondsMax.' };
  return undefined;
}

/** The server's keep alive, if the client's is longer than the limit; `undefined`: the client's applies. */
export function serverKeepAliveSeconds(
  { keepAliveSeconds }: Connect,
  { mqttKeepAliveSecondsMax }: MqttLimits,
): number | undefined {
  if (mqttKeepAliveSecondsMax === 0) return undefined;
  const isAllowed = keepAliveSeconds > 0 && keepAliveSeconds <= mqttKeepAliveSecondsMax;
  return isAllowed ? undefined : mqttKeepAliveSecondsMax;
}

/** The session that it asks for. */
export function sessionOf(
  { clientId, version, cleanStart, properties, will }: Connect,
  random: Random,
  limits: MqttLimits,
): Omit<OpenRequest, 'connection' | 'identity'> {
  const olderExpirySeconds = cleanStart ? 0 : neverExpires;
  const askedSeconds = version === 5 ? (properties.sessionExpiryIntervalSeconds ?? 0) : olderExpirySeconds;
  return {
    clientId: clientId === '' ? `everywire-${random.hex(12)}` : clientId,
    cleanStart,
    expirySeconds: keptSeconds(askedSeconds, limits),
    // A copy, because the bytes are part of a larger chunk.
    will: will && !isBridgeState(will.topic) ? { ...will, payload: Buffer.from(will.payload) } : undefined,
  };
}

/** A session without an end gets one, or its rows would stay for ever. */
export function keptSeconds(askedSeconds: number, { mqttSessionIdleMs }: MqttLimits): number {
  return askedSeconds === neverExpires ? Math.max(1, Math.floor(mqttSessionIdleMs / 1_000)) : askedSeconds;
}

/** The properties of an accepting CONNACK in MQTT 5 (§3.2.2.3). */
export function offerOf(packet: Connect, clientId: string, limits: MqttLimits): ConnackProperties {
  if (packet.version !== 5) return {};
  const keepAliveSeconds = serverKeepAliveSeconds(packet, limits);
  const { authenticationMethod, sessionExpiryIntervalSeconds = 0 } = packet.properties;
  const expirySeconds = keptSeconds(sessionExpiryIntervalSeconds, limits);
  return {
    ...(expirySeconds === sessionExpiryIntervalSeconds
      ? {}
      : { sessionExpiryIntervalSeconds: expirySeconds }),
    receiveMaximum: limits.mqttReceiveMax,
    maximumPacketSizeBytes: messageBytesMax(limits, 'bytes'),
    topicAliasMaximum: limits.mqttTopicAliasMax,
    ...(authenticationMethod === undefined ? {} : { authenticationMethod }),
    ...(packet.clientId === '' ? { assignedClientIdentifier: clientId } : {}),
    ...(keepAliveSeconds === undefined ? {} : { serverKeepAliveSeconds: keepAliveSeconds }),
  };
}

/**
 * The largest CONNECT, decided before its bytes are kept: with a will it is as large as a message. While there are tokens
 * a stranger may make the server keep 64 KiB at most.
 */
export function connectBytesMax({ limits, admission }: MqttHost): number {
  const messageBytes = messageBytesMax(limits, 'bytes');
  return admission === undefined ? messageBytes : Math.min(messageBytes, limits.mqttConnectBytesMax);
}

/** The reason code of a CONNECT that `error` refuses. */
export function connackReasonFor(version: Version, error: EverywireError): number {
  return sayableReason(version, connackReason(error));
}

export function sayableReason(version: Version, reasonCode: number): number {
  // Older versions have few return codes; "not authorized" is the one for a refused will.
  const isSayable = version === 5 || connackReturnCode(reasonCode) !== undefined;
  return isSayable ? reasonCode : reasonCodes.notAuthorized;
}

/** `undefined`: older versions have only five return codes, and close the connection for other errors. */
export function connackOf(
  version: Version,
  reasonCode: number,
  answer: {
    readonly detail?: string;
    readonly sessionPresent?: boolean;
    readonly properties?: ConnackProperties;
  } = {},
): Connack | undefined {
  const { detail, sessionPresent = false, properties = {} } = answer;
  if (version !== 5 && connackReturnCode(reasonCode) === undefined) return undefined;
  const reason = detail === undefined || version !== 5 ? {} : { reasonString: detail };
  return { type: 'connack', sessionPresent, reasonCode, properties: { ...properties, ...reason } };
}
