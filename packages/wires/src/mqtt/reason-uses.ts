import { reasonCodes as codes } from './reason-codes.ts';

/** The reason codes of each packet and direction (MQTT 5 table 2-6 and the tables of chapter 3). */
export type ReasonUse =
  | 'connack'
  | 'puback'
  | 'pubrec'
  | 'pubrel'
  | 'pubcomp'
  | 'suback'
  | 'suback-older'
  | 'unsuback'
  | 'client-disconnect'
  | 'server-disconnect'
  | 'client-auth'
  | 'server-auth';

const received: readonly number[] = [
  codes.success,
  codes.noMatchingSubscribers,
  codes.unspecifiedError,
  codes.implementationSpecificError,
  codes.notAuthorized,
  codes.topicNameInvalid,
  codes.packetIdentifierInUse,
  codes.quotaExceeded,
  codes.payloadFormatInvalid,
];

const released: readonly number[] = [codes.success, codes.packetIdentifierNotFound];

/** Codes that both sides may use to end a connection. */
const disconnected: readonly number[] = [
  codes.success,
  codes.unspecifiedError,
  codes.malformedPacket,
  codes.protocolError,
  codes.implementationSpecificError,
  codes.topicNameInvalid,
  codes.receiveMaximumExceeded,
  codes.topicAliasInvalid,
  codes.packetTooLarge,
  codes.messageRateTooHigh,
  codes.quotaExceeded,
  codes.administrativeAction,
  codes.payloadFormatInvalid,
];

export const allowedReasonCodes: Readonly<Record<ReasonUse, ReadonlySet<number>>> = {
  connack: new Set<number>([
    codes.success,
    codes.unspecifiedError,
    codes.malformedPacket,
    codes.protocolError,
    codes.implementationSpecificError,
    codes.unsupportedProtocolVersion,
    codes.clientIdentifierNotValid,
    codes.badUserNameOrPassword,
    codes.notAuthorized,
    codes.serverUnavailable,
    codes.serverBusy,
    codes.banned,
    codes.badAuthenticationMethod,
    codes.topicNameInvalid,
    codes.packetTooLarge,
    codes.quotaExceeded,
    codes.payloadFormatInvalid,
    codes.retainNotSupported,
    codes.qosNotSupported,
    codes.useAnotherServer,
    codes.serverMoved,
    codes.connectionRateExceeded,
  ]),
  puback: new Set(received),
  pubrec: new Set(received),
  pubrel: new Set(released),
  pubcomp: new Set(released),
  suback: new Set<number>([
    codes.success,
    codes.grantedQos1,
    codes.grantedQos2,
    codes.unspecifiedError,
    codes.implementationSpecificError,
    codes.notAuthorized,
    codes.topicFilterInvalid,
    codes.packetIdentifierInUse,
    codes.quotaExceeded,
    codes.sharedSubscriptionsNotSupported,
    codes.subscriptionIdentifiersNotSupported,
    codes.wildcardSubscriptionsNotSupported,
  ]),
  'suback-older': new Set<number>([
    codes.success,
    codes.grantedQos1,
    codes.grantedQos2,
    codes.unspecifiedError,
  ]),
  unsuback: new Set<number>([
    codes.success,
    codes.noSubscriptionExisted,
    codes.unspecifiedError,
    codes.implementationSpecificError,
    codes.notAuthorized,
    codes.topicFilterInvalid,
    codes.packetIdentifierInUse,
  ]),
  'client-disconnect': new Set<number>([...disconnected, codes.disconnectWithWill]),
  'server-disconnect': new Set<number>([
    ...disconnected,
    codes.notAuthorized,
    codes.serverBusy,
    codes.serverShuttingDown,
    codes.keepAliveTimeout,
    codes.sessionTakenOver,
    codes.topicFilterInvalid,
    codes.retainNotSupported,
    codes.qosNotSupported,
    codes.useAnotherServer,
    codes.serverMoved,
    codes.sharedSubscriptionsNotSupported,
    codes.connectionRateExceeded,
    codes.maximumConnectTime,
    codes.subscriptionIdentifiersNotSupported,
    codes.wildcardSubscriptionsNotSupported,
  ]),
  'client-auth': new Set<number>([codes.continueAuthentication, codes.reauthenticate]),
  'server-auth': new Set<number>([codes.success, codes.continueAuthentication]),
};
