import fc from 'fast-check';
import {
  connackReturnCode,
  reasonCodes,
  type Packet,
  type Properties,
  type Qos,
  type Version,
} from '../../src/mqtt/index.ts';
import { allowedReasonCodes, type ReasonUse } from '../../src/mqtt/reason-uses.ts';

/** Packets that may be sent, of each version, for properties that hold for all of them. */

export const versions = [3, 4, 5] as const;

const text = fc.string({ unit: 'binary', maxLength: 12 }).map((one) => one.replaceAll('\u0000', ''));
const name = text.map((one) => one.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, ''));
const topic = name.map((one) => one.replaceAll(/[+#]/g, '') || 'a/b');
const filter = fc.oneof(topic, fc.constantFrom('#', '+', 'a/+/c', 'a/#', '$share/g/a/+', '$SYS/#'));
const bytes = fc.uint8Array({ maxLength: 40 }).map((one) => Buffer.from(one));
const payload = fc.oneof(
  bytes,
  fc.integer({ min: 100, max: 20_000 }).map((length) => Buffer.alloc(length, 'x')),
);
const uint16 = fc.integer({ min: 0, max: 0xffff });
const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const packetId = fc.integer({ min: 1, max: 0xffff });
const qos = fc.constantFrom<Qos>(0, 1, 2);
const bit = fc.constantFrom<0 | 1>(0, 1);

/** Values of every property, so that a test can find which is allowed where. */
export const propertyValues = {
  payloadFormatIndicator: bit,
  messageExpiryIntervalSeconds: uint32,
  contentType: text,
  responseTopic: topic,
  correlationData: bytes,
  subscriptionIdentifiers: fc.array(fc.integer({ min: 1, max: 268_435_455 }), { minLength: 1, maxLength: 3 }),
  sessionExpiryIntervalSeconds: uint32,
  assignedClientIdentifier: name,
  serverKeepAliveSeconds: uint16,
  authenticationMethod: text,
  authenticationData: bytes,
  requestProblemInformation: bit,
  willDelayIntervalSeconds: uint32,
  requestResponseInformation: bit,
  responseInformation: text,
  serverReference: text,
  reasonString: text,
  receiveMaximum: fc.integer({ min: 1, max: 0xffff }),
  topicAliasMaximum: uint16,
  topicAlias: fc.integer({ min: 1, max: 0xffff }),
  maximumQos: bit,
  retainAvailable: bit,
  userProperties: fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 4 }),
  maximumPacketSizeBytes: fc.integer({ min: 1, max: 0xffff_ffff }),
  wildcardSubscriptionAvailable: bit,
  subscriptionIdentifierAvailable: bit,
  sharedSubscriptionAvailable: bit,
} satisfies Record<keyof Properties, fc.Arbitrary<unknown>>;

type Name = keyof Properties;

/** None, one or several of `names`; older versions have none. */
function properties<Names extends Name>(
  version: Version,
  names: readonly Names[],
): fc.Arbitrary<Pick<Properties, Names>> {
  if (version !== 5) return fc.constant({} as Pick<Properties, Names>);
  const model = Object.fromEntries(names.map((one) => [one, propertyValues[one]]));
  return fc.record(model, { requiredKeys: [] }) as unknown as fc.Arbitrary<Pick<Properties, Names>>;
}

const code = (use: ReasonUse) => fc.constantFrom(...allowedReasonCodes[use]);

const publishNames = [
  'payloadFormatIndicator',
  'messageExpiryIntervalSeconds',
  'responseTopic',
  'correlationData',
  'userProperties',
  'contentType',
] as const;

function will(version: Version) {
  return fc.record({
    topic,
    payload,
    qos,
    retain: fc.boolean(),
    properties: properties(version, [...publishNames, 'willDelayIntervalSeconds']),
  });
}

function connect(version: Version): fc.Arbitrary<Packet> {
  const clientId = version === 3 ? topic : name;
  return fc
    .record({
      type: fc.constant('connect' as const),
      version: fc.constant(version),
      cleanStart: fc.boolean(),
      keepAliveSeconds: uint16,
      clientId,
      will: fc.option(will(version), { nil: undefined }),
      userName: fc.option(name, { nil: undefined }),
      password: fc.option(bytes, { nil: undefined }),
      properties: properties(version, [
        'sessionExpiryIntervalSeconds',
        'receiveMaximum',
        'maximumPacketSizeBytes',
        'topicAliasMaximum',
        'requestResponseInformation',
        'requestProblemInformation',
        'userProperties',
        'authenticationMethod',
        'authenticationData',
      ]),
    })
    .map((packet) => ({
      ...packet,
      // What would not be allowed together.
      cleanStart: packet.cleanStart || packet.clientId === '',
      userName: version === 5 || packet.password === undefined ? packet.userName : (packet.userName ?? 'u'),
      properties:
        packet.properties.authenticationData === undefined
          ? packet.properties
          : { authenticationMethod: 'm', ...packet.properties },
    }));
}

function publish(version: Version, from: 'client' | 'server'): fc.Arbitrary<Packet> {
  const own =
    from === 'client' ? (['topicAlias'] as const) : (['topicAlias', 'subscriptionIdentifiers'] as const);
  return fc
    .record({
      type: fc.constant('publish' as const),
      topic,
      payload,
      qos,
      retain: fc.boolean(),
      dup: fc.boolean(),
      packetId,
      properties: properties(version, [...publishNames, ...own]),
    })
    .map((packet) => ({
      ...packet,
      dup: packet.dup && packet.qos > 0,
      packetId: packet.qos > 0 ? packet.packetId : 0,
      topic: packet.properties.topicAlias !== undefined && packet.packetId % 2 === 0 ? '' : packet.topic,
    }));
}

function ack(version: Version, type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp'): fc.Arbitrary<Packet> {
  return fc.record({
    type: fc.constant(type),
    packetId,
    reasonCode: version === 5 ? code(type) : fc.constant(0),
    properties: properties(version, ['reasonString', 'userProperties']),
  });
}

function subscribe(version: Version): fc.Arbitrary<Packet> {
  const yes = version === 5 ? fc.boolean() : fc.constant(false);
  const request = fc
    .record({
      filter,
      isWellFormed: fc.constant(true),
      qos,
      noLocal: yes,
      retainAsPublished: yes,
      retainHandling: version === 5 ? fc.constantFrom<0 | 1 | 2>(0, 1, 2) : fc.constant<0>(0),
    })
    .map((one) => ({ ...one, noLocal: one.noLocal && !one.filter.startsWith('$share/') }));
  return fc.record({
    type: fc.constant('subscribe' as const),
    packetId,
    filters: fc.array(request, { minLength: 1, maxLength: 4 }),
    properties: properties(version, ['userProperties', 'subscriptionIdentifiers']).map((one) =>
      one.subscriptionIdentifiers === undefined
        ? one
        : { ...one, subscriptionIdentifiers: one.subscriptionIdentifiers.slice(0, 1) },
    ),
  });
}

/** What a client of `version` may send. */
export function clientPackets(version: Version): fc.Arbitrary<Packet> {
  return fc.oneof(
    connect(version),
    publish(version, 'client'),
    ack(version, 'puback'),
    ack(version, 'pubrec'),
    ack(version, 'pubrel'),
    ack(version, 'pubcomp'),
    subscribe(version),
    fc.record({
      type: fc.constant('unsubscribe' as const),
      packetId,
      filters: fc.array(fc.record({ filter, isWellFormed: fc.constant(true) }), {
        minLength: 1,
        maxLength: 4,
      }),
      properties: properties(version, ['userProperties']),
    }),
    fc.constant<Packet>({ type: 'pingreq' }),
    fc.record({
      type: fc.constant('disconnect' as const),
      reasonCode: version === 5 ? code('client-disconnect') : fc.constant(0),
      properties: properties(version, ['sessionExpiryIntervalSeconds', 'reasonString', 'userProperties']),
    }),
    ...(version === 5 ? [auth('client-auth')] : []),
  );
}

function auth(use: 'client-auth' | 'server-auth'): fc.Arbitrary<Packet> {
  return fc.record({
    type: fc.constant('auth' as const),
    reasonCode: code(use),
    properties: properties(5, ['authenticationData', 'reasonString', 'userProperties']).map((one) => ({
      ...one,
      authenticationMethod: 'm',
    })),
  });
}

/** What a server may send to a client of `version`. */
export function serverPackets(version: Version): fc.Arbitrary<Packet> {
  const connackCodes =
    version === 5
      ? code('connack')
      : fc.constantFrom(
          ...[
            reasonCodes.success,
            reasonCodes.unsupportedProtocolVersion,
            reasonCodes.clientIdentifierNotValid,
            reasonCodes.serverUnavailable,
            reasonCodes.badUserNameOrPassword,
            reasonCodes.notAuthorized,
          ].filter((one) => connackReturnCode(one) !== undefined),
        );
  const packets: fc.Arbitrary<Packet>[] = [
    fc
      .record({
        type: fc.constant('connack' as const),
        sessionPresent: fc.boolean(),
        reasonCode: connackCodes,
        properties: properties(version, [
          'sessionExpiryIntervalSeconds',
          'receiveMaximum',
          'maximumQos',
          'retainAvailable',
          'maximumPacketSizeBytes',
          'assignedClientIdentifier',
          'topicAliasMaximum',
          'reasonString',
          'userProperties',
          'wildcardSubscriptionAvailable',
          'subscriptionIdentifierAvailable',
          'sharedSubscriptionAvailable',
          'serverKeepAliveSeconds',
          'responseInformation',
          'serverReference',
          'authenticationMethod',
          'authenticationData',
        ]),
      })
      .map((one) => ({
        ...one,
        sessionPresent: one.sessionPresent && one.reasonCode === 0 && version !== 3,
      })),
    publish(version, 'server'),
    ack(version, 'puback'),
    ack(version, 'pubrec'),
    ack(version, 'pubrel'),
    ack(version, 'pubcomp'),
    fc.record({
      type: fc.constant('suback' as const),
      packetId,
      reasonCodes: fc.array(code(version === 5 ? 'suback' : 'suback-older'), { minLength: 1, maxLength: 5 }),
      properties: properties(version, ['reasonString', 'userProperties']),
    }),
    fc.record({
      type: fc.constant('unsuback' as const),
      packetId,
      reasonCodes:
        version === 5
          ? fc.array(code('unsuback'), { minLength: 1, maxLength: 5 })
          : fc.constant<number[]>([]),
      properties: properties(version, ['reasonString', 'userProperties']),
    }),
    fc.constant<Packet>({ type: 'pingresp' }),
  ];
  if (version === 5) {
    packets.push(
      fc.record({
        type: fc.constant('disconnect' as const),
        reasonCode: code('server-disconnect'),
        properties: properties(5, ['serverReference', 'reasonString', 'userProperties']),
      }),
      auth('server-auth'),
    );
  }
  return fc.oneof(...packets);
}
