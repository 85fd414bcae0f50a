import {
  Fields,
  isHonestType,
  type PublishProperties,
  type Publish,
  type Qos,
  type UserProperties,
  type Will,
  noProperties,
  propertiesBytes,
  readProperties,
  writeProperties,
  varintBytes,
  writeVarint,
} from '@everywire/wires/mqtt';
import { shapeOf } from '../../core/log/media.ts';
import type { Message } from '../../core/log/message.ts';
import type { PublishDraft } from '../../core/seams/session-api.ts';
import { mqttNativeByte } from './limits.ts';

/**
 * What MQTT alone can say of a message, kept beside it (`Message.native`):
 *
 *   byte 0     mqttNativeByte
 *   byte 1     bits 0–1 QoS as published; bit 2 the content type was given, and is the message's `type`;
 *              bit 3 the user properties are the message's `headers`, in order
 *   from 2     nothing, or properties as MQTT 5 writes them, length before them (§2.2.2): what `type` and `headers`
 *              cannot hold exactly
 */
const bits = { qos: 0x03, typeIsContentType: 0x04, headersAreUserProperties: 0x08 } as const;

/** Names that only the server sets: it drops those of clients, as on every transport. */
const reservedName = /^everywire-/i;
const control = /[\u0000-\u001f\u007f-\u009f]/;
/** The longest time to live of a message, ten years. The server keeps a longer one unchanged for MQTT readers, but does not apply it. */
const ttlMsMax = 3_650 * 86_400_000;

const plainNatives: readonly Buffer[] = [0, 1, 2].map((qos) => Buffer.from([mqttNativeByte, qos]));

/** The draft of a PUBLISH or a will. Except for limits, nothing in it makes the hub refuse what MQTT allows. */
export function draftOf({ payload, qos, retain, properties }: Publish | Will): PublishDraft {
  if (properties === noProperties) {
    return { payload, retain, retainIfRoom: retain, native: plainNatives[qos] };
  }
  const { contentType, userProperties = [], messageExpiryIntervalSeconds } = properties;
  const kept = userProperties.filter(([name]) => !reservedName.test(name));
  const headers = headersOf(kept);
  const isType = contentType !== undefined && isHonestType(contentType, payload);
  const expiryMs =
    messageExpiryIntervalSeconds === undefined ? undefined : messageExpiryIntervalSeconds * 1000;
  return {
    payload,
    retain,
    retainIfRoom: retain,
    type: isType ? contentType : undefined,
    headers,
    ttlMs: expiryMs === undefined ? undefined : Math.min(Math.max(expiryMs, 1), ttlMsMax),
    native: nativeOf(qos, properties, { kept, isType, areHeaders: headers?.size === kept.length }),
  };
}

/** The QoS of `message` for a subscription with the granted QoS. Messages of other transports have QoS 2. */
export function deliveryQos(message: Message, granted: Qos): Qos {
  const { native } = message;
  const published = isMqtt(native) ? ((native[1]! & bits.qos) as Qos) : 2;
  return published < granted ? published : granted;
}

/**
 * The properties of a PUBLISH of `message` in MQTT 5, unchanged if it came by MQTT [MQTT-3.3.2-15, -16, -17, -18, -20].
 * The message expiry interval is the remaining time at `nowMs` [MQTT-3.3.2-6].
 */
export function propertiesOf(message: Message, nowMs: number | undefined): PublishProperties {
  const { native, expiresAtMs } = message;
  const said = isMqtt(native) ? saidByMqtt(message, native) : saidByOthers(message);
  if (expiresAtMs === undefined || nowMs === undefined) return said;
  return { ...said, messageExpiryIntervalSeconds: remainingSeconds(message, expiresAtMs, nowMs) };
}

/** Names of properties that only the server may set for readers that asked for cursors: a publisher could forge them. */
const placeName = /^(?:cursor|offset)$/i;

/** `said`, and the cursor and offset of the message, for readers that asked for cursors. */
export function withPlace(said: UserProperties | undefined, message: Message): UserProperties {
  const all = (said ?? []).filter(([name]) => !placeName.test(name));
  all.push(['cursor', message.cursor], ['offset', String(message.offset)]);
  // Messages of other transports always have their id.
  if (isMqtt(message.native)) all.push(['everywire-id', message.id]);
  return all;
}

function isMqtt(native: Buffer | undefined): native is Buffer {
  return native !== undefined && native.length >= 2 && native[0] === mqttNativeByte;
}

/** Whole seconds of the clock, so that a message never has more time left than it was given. */
function remainingSeconds(message: Message, expiresAtMs: number, nowMs: number): number {
  const nowSeconds = Math.floor(nowMs / 1000);
  const said = isMqtt(message.native) ? readKept(message.native).messageExpiryIntervalSeconds : undefined;
  if (said !== undefined) return Math.max(1, said - (nowSeconds - Math.floor(message.timeMs / 1000)));
  return Math.max(1, Math.floor(expiresAtMs / 1000) - nowSeconds);
}

function nativeOf(
  qos: Qos,
  properties: Publish['properties'] | Will['properties'],
  { kept, isType, areHeaders }: { kept: UserProperties; isType: boolean; areHeaders: boolean },
): Buffer {
  const { payloadFormatIndicator, contentType, responseTopic, correlationData } = properties;
  const { messageExpiryIntervalSeconds } = properties;
  const isLong = messageExpiryIntervalSeconds !== undefined && messageExpiryIntervalSeconds * 1000 > ttlMsMax;
  const alone: PublishProperties = {
    ...(payloadFormatIndicator === undefined ? {} : { payloadFormatIndicator }),
    ...(isLong ? { messageExpiryIntervalSeconds } : {}),
    ...(contentType === undefined || isType ? {} : { contentType }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlationData }),
    ...(kept.length === 0 || areHeaders ? {} : { userProperties: kept }),
  };
  const length = propertiesBytes(alone, 'publish');
  const flags =
    qos | (isType ? bits.typeIsContentType : 0) | (areHeaders ? bits.headersAreUserProperties : 0);
  if (length === 0) return Buffer.from([mqttNativeByte, flags]);
  const native = Buffer.allocUnsafe(2 + varintBytes(length) + length);
  native[0] = mqttNativeByte;
  native[1] = flags;
  writeProperties(native, writeVarint(native, 2, length), alone, 'publish');
  return native;
}

/** The user properties that can be headers; of a repeated name, the last. Undefined: there are none. */
function headersOf(pairs: UserProperties): Map<string, string> | undefined {
  const headers = new Map<string, string>();
  for (const [name, value] of pairs) {
    if (name !== '' && !control.test(name) && !control.test(value)) headers.set(name, value);
  }
  return headers.size === 0 ? undefined : headers;
}

function saidByMqtt(message: Message, native: Buffer): PublishProperties {
  const flags = native[1]!;
  const { event, from } = message;
  if (native.length === 2 && flags <= bits.qos && event === undefined && from === undefined)
    return noProperties;
  const said: Draftable = native.length === 2 ? {} : { ...readKept(native) };
  delete said.messageExpiryIntervalSeconds;
  if ((flags & bits.typeIsContentType) !== 0) said.contentType = message.type;
  if ((flags & bits.headersAreUserProperties) !== 0 && message.headers !== undefined) {
    said.userProperties = [...message.headers];
  }
  const added: [string, string][] = [];
  if (event !== undefined) added.push(['everywire-event', event]);
  if (from !== undefined) added.push(['everywire-from', from]);
  if (added.length > 0) said.userProperties = [...(said.userProperties ?? []), ...added];
  return said;
}

type Draftable = { -readonly [Name in keyof PublishProperties]: PublishProperties[Name] };

function readKept(native: Buffer): PublishProperties {
  return native.length === 2
    ? noProperties
    : readProperties(new Fields(native, 2, native.length, 5), 'publish');
}

/** Text has payload format 1. Fields that MQTT does not have become user properties that only the server sets. */
function saidByOthers(message: Message): PublishProperties {
  const { id, event, from, headers, type } = message;
  const userProperties: [string, string][] = [...(headers ?? [])];
  userProperties.push(['everywire-id', id]);
  if (event !== undefined) userProperties.push(['everywire-event', event]);
  if (from !== undefined) userProperties.push(['everywire-from', from]);
  return {
    ...(shapeOf(message) === 'binary' ? {} : { payloadFormatIndicator: 1 }),
    contentType: type,
    userProperties,
  };
}
