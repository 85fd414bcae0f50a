import type { ReasonCode } from './reason-codes.ts';

/**
 * MQTT control packets as values, of all versions: 3 is MQTT 3.1, 4 is 3.1.1, 5 is 5. What an older version has not is
 * absent or empty, so that a session is written once. Texts are well-formed Unicode without U+0000.
 */
export type Version = 3 | 4 | 5;

export type Qos = 0 | 1 | 2;

/** In their order; names may repeat [MQTT-3.3.2-18]. */
export type UserProperties = readonly (readonly [name: string, value: string])[];

/**
 * Properties of MQTT 5 (§2.2.2.2). An absent member is absent on the wire; the reader applies the default of the
 * standard.
 */
export interface Properties {
  readonly payloadFormatIndicator?: 0 | 1;
  readonly messageExpiryIntervalSeconds?: number;
  readonly contentType?: string;
  readonly responseTopic?: string;
  readonly correlationData?: Buffer;
  /** At most one in a SUBSCRIBE; in a PUBLISH to a client, one for each matching subscription. */
  readonly subscriptionIdentifiers?: readonly number[];
  readonly sessionExpiryIntervalSeconds?: number;
  readonly assignedClientIdentifier?: string;
  readonly serverKeepAliveSeconds?: number;
  readonly authenticationMethod?: string;
  readonly authenticationData?: Buffer;
  readonly requestProblemInformation?: 0 | 1;
  readonly willDelayIntervalSeconds?: number;
  readonly requestResponseInformation?: 0 | 1;
  readonly responseInformation?: string;
  readonly serverReference?: string;
  readonly reasonString?: string;
  readonly receiveMaximum?: number;
  readonly topicAliasMaximum?: number;
  readonly topicAlias?: number;
  readonly maximumQos?: 0 | 1;
  readonly retainAvailable?: 0 | 1;
  readonly userProperties?: UserProperties;
  readonly maximumPacketSizeBytes?: number;
  readonly wildcardSubscriptionAvailable?: 0 | 1;
  readonly subscriptionIdentifierAvailable?: 0 | 1;
  readonly sharedSubscriptionAvailable?: 0 | 1;
}

export type ConnectProperties = Pick<
  Properties,
  | 'sessionExpiryIntervalSeconds'
  | 'receiveMaximum'
  | 'maximumPacketSizeBytes'
  | 'topicAliasMaximum'
  | 'requestResponseInformation'
  | 'requestProblemInformation'
  | 'userProperties'
  | 'authenticationMethod'
  | 'authenticationData'
>;

export type PublishProperties = Pick<
  Properties,
  | 'payloadFormatIndicator'
  | 'messageExpiryIntervalSeconds'
  | 'topicAlias'
  | 'responseTopic'
  | 'correlationData'
  | 'userProperties'
  | 'subscriptionIdentifiers'
  | 'contentType'
>;

export type WillProperties = Omit<PublishProperties, 'topicAlias' | 'subscriptionIdentifiers'> &
  Pick<Properties, 'willDelayIntervalSeconds'>;

export type AckProperties = Pick<Properties, 'reasonString' | 'userProperties'>;

export type ConnackProperties = Pick<
  Properties,
  | 'sessionExpiryIntervalSeconds'
  | 'receiveMaximum'
  | 'maximumQos'
  | 'retainAvailable'
  | 'maximumPacketSizeBytes'
  | 'assignedClientIdentifier'
  | 'topicAliasMaximum'
  | 'reasonString'
  | 'userProperties'
  | 'wildcardSubscriptionAvailable'
  | 'subscriptionIdentifierAvailable'
  | 'sharedSubscriptionAvailable'
  | 'serverKeepAliveSeconds'
  | 'responseInformation'
  | 'serverReference'
  | 'authenticationMethod'
  | 'authenticationData'
>;

export type SubscribeProperties = Pick<Properties, 'subscriptionIdentifiers' | 'userProperties'>;
export type UnsubscribeProperties = Pick<Properties, 'userProperties'>;
export type DisconnectProperties = AckProperties &
  Pick<Properties, 'sessionExpiryIntervalSeconds' | 'serverReference'>;
export type AuthProperties = AckProperties & Pick<Properties, 'authenticationMethod' | 'authenticationData'>;

/** The fields of a message in a CONNECT. */
export interface Will {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly properties: WillProperties;
}

export interface Connect {
  readonly type: 'connect';
  readonly version: Version;
  /** MQTT 3.1.1: clean session, which also decides when the session ends (§3.1.2.4). */
  readonly cleanStart: boolean;
  /** 0: no keep alive. */
  readonly keepAliveSeconds: number;
  /** May be empty in 5 and, with `cleanStart`, in 3.1.1. */
  readonly clientId: string;
  readonly will: Will | undefined;
  readonly userName: string | undefined;
  readonly password: Buffer | undefined;
  readonly properties: ConnectProperties;
  /**
   * The high bit of its level says that a broker connects, as Mosquitto's bridges do: it wants no message back that it
   * published, and the retain flag as published.
   */
  readonly isBridge?: boolean;
}

export interface Connack {
  readonly type: 'connack';
  readonly sessionPresent: boolean;
  /** In 3.1 and 3.1.1 it is written as the equivalent return code. */
  readonly reasonCode: number;
  readonly properties: ConnackProperties;
}

export interface Publish {
  readonly type: 'publish';
  /** Empty only with a topic alias. Checked: no wildcards. */
  readonly topic: string;
  /** It shares memory with the pushed bytes: copy it to keep it for long. */
  readonly payload: Buffer;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly dup: boolean;
  /** 0 at QoS 0, which has no packet id. */
  readonly packetId: number;
  readonly properties: PublishProperties;
  /** Set by a reader: the packet had so many bytes, more than its limit, and the payload was not kept. */
  readonly oversizeBytes?: number;
}

interface Ack<Type extends string> {
  readonly type: Type;
  readonly packetId: number;
  readonly reasonCode: number;
  readonly properties: AckProperties;
}

export type Puback = Ack<'puback'>;
export type Pubrec = Ack<'pubrec'>;
export type Pubrel = Ack<'pubrel'>;
export type Pubcomp = Ack<'pubcomp'>;

export interface FilterRequest {
  /** Unchanged, `$share/…` included. */
  readonly filter: string;
  /** In MQTT 5 the answer to a filter that breaks §4.7.1 or §4.8.2 is 0x8F; it does not close the connection. */
  readonly isWellFormed: boolean;
  /** Maximum QoS. */
  readonly qos: Qos;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  /** 0: send retained messages; 1: only if the subscription is new; 2: none. */
  readonly retainHandling: 0 | 1 | 2;
}

export interface Subscribe {
  readonly type: 'subscribe';
  readonly packetId: number;
  /** At least one. */
  readonly filters: readonly FilterRequest[];
  readonly properties: SubscribeProperties;
}

export interface Suback {
  readonly type: 'suback';
  readonly packetId: number;
  /** One for each filter, in order. In 3.1 and 3.1.1 every code above 2 is written 0x80. */
  readonly reasonCodes: readonly number[];
  readonly properties: AckProperties;
}

export interface Unsubscribe {
  readonly type: 'unsubscribe';
  readonly packetId: number;
  /** At least one. */
  readonly filters: readonly Pick<FilterRequest, 'filter' | 'isWellFormed'>[];
  readonly properties: UnsubscribeProperties;
}

export interface Unsuback {
  readonly type: 'unsuback';
  readonly packetId: number;
  /** One for each filter, in order; empty in 3.1 and 3.1.1, which have no codes. */
  readonly reasonCodes: readonly number[];
  readonly properties: AckProperties;
}

export interface Pingreq {
  readonly type: 'pingreq';
}

export interface Pingresp {
  readonly type: 'pingresp';
}

export interface Disconnect {
  readonly type: 'disconnect';
  readonly reasonCode: number;
  readonly properties: DisconnectProperties;
}

export interface Auth {
  readonly type: 'auth';
  readonly reasonCode: number;
  readonly properties: AuthProperties;
}

/** Packets from a client, by their form. */
export type ClientPacket =
  | Connect
  | Publish
  | Puback
  | Pubrec
  | Pubrel
  | Pubcomp
  | Subscribe
  | Unsubscribe
  | Pingreq
  | Disconnect
  | Auth;

/** Packets from a server. */
export type ServerPacket =
  Connack | Publish | Puback | Pubrec | Pubrel | Pubcomp | Suback | Unsuback | Pingresp | Disconnect | Auth;

export type Packet = ClientPacket | ServerPacket;

/**
 * Invalid bytes; the reader reads nothing after them. `malformed`: not in the form of the standard. `protocol`: in that
 * form, but not allowed here. `version`: an unsupported protocol version. `identifier`: a client id that this version
 * does not allow. `topic`: a topic name, alias or filter that is not allowed. `too_large`: announces more bytes than
 * the reader's limit.
 */
export interface MqttFault {
  readonly type: 'fault';
  readonly kind: 'malformed' | 'protocol' | 'version' | 'identifier' | 'topic' | 'too_large';
  /** The reason code of MQTT 5, for CONNACK before the session starts and for DISCONNECT after it. */
  readonly reasonCode: ReasonCode;
  /** The normative statement, such as `3.1.2-3`, or the section, such as `§3.1.2.11`, of the version in use. */
  readonly statement: string;
  /** One sentence for people, without any text of the peer. */
  readonly detail: string;
  /**
   * Set if the CONNECT itself is refused: the version of a CONNACK that the peer can read. Absent: the connection
   * closes without an answer.
   */
  readonly connackVersion?: Version;
}
