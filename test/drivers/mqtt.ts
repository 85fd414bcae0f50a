import { randomUUID } from 'node:crypto';
import { once, type EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import type { GapNotice } from '@everywire/protocol';
import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt';
import { WebSocket } from 'ws';
import {
  hearsItself,
  publishOver,
  Refused,
  untold,
  type AcknowledgingReader,
  type Addresses,
  type Answer,
  type DurableReader,
  type From,
  type Lacks,
  type Outgoing,
  type Publisher,
  type PublishingReader,
  type Reader,
  type Received,
  type RefreshableReader,
  type TransportDriver,
} from './driver.ts';
import { Inbox } from './inbox.ts';

type Qos = 0 | 1 | 2;

const tokenMethod = 'jwt';

export interface MqttWay {
  readonly version: '3.1.1' | '5';
  readonly link: 'TCP' | 'WebSocket';
  readonly qos: Qos;
}

/** A connection of the `mqtt` package: another project's implementation of the standard. */
interface Connection {
  readonly client: MqttClient;
  /** What the server sends, messages excepted, from the first packet on. */
  readonly packets: Inbox<Told>;
  readonly messages: Inbox<IPublishPacket>;
  readonly goodbye: Promise<string>;
  readonly pause: () => void;
  readonly resume: () => void;
  readonly cut: () => void;
}

/** What the server says of a packet, in packets that can say it. */
interface Told {
  readonly cmd: string;
  readonly reasonCode?: number;
  /** Of a CONNACK of MQTT 3.1.1. */
  readonly returnCode?: number;
  readonly properties?: { readonly reasonString?: string; readonly userProperties?: UserProperties };
  readonly granted?: readonly number[];
}

type UserProperties = Readonly<Record<string, string | string[]>>;

interface OpenOptions {
  /** Opens the session of that client, which is kept. */
  readonly clientId?: string;
  /** Acknowledges nothing by itself, and is sent one message at a time. */
  readonly acksByHand?: boolean;
}

async function open(
  server: Addresses,
  { version, link }: MqttWay,
  { clientId, acksByHand = false }: OpenOptions = {},
): Promise<Connection> {
  const url = link === 'TCP' ? server.mqtt! : `${server.url.replace('http', 'ws')}/mqtt`;
  let webSocket: WebSocket | undefined;
  const client = mqtt.connect(url, {
    protocolVersion: version === '5' ? 5 : 4,
    reconnectPeriod: 0,
    // The library throws for a password that is too long, and still connects: then nothing listens for its errors.
    manualConnect: true,
    ...(server.token === undefined ? {} : { username: '', password: server.token }),
    ...(clientId === undefined ? {} : { clientId, clean: false }),
    ...(version !== '5'
      ? {}
      : {
          properties: {
            // A client that names a method may show another token later.
            ...(server.token === undefined ? {} : { authenticationMethod: tokenMethod }),
            ...(clientId === undefined ? {} : { sessionExpiryInterval: 3_600 }),
            ...(acksByHand ? { receiveMaximum: 1 } : {}),
          },
        }),
    createWebsocket: (address, protocols) =>
      (webSocket = new WebSocket(address, protocols, { perMessageDeflate: false })),
  });
  const socket = (): Socket =>
    link === 'TCP'
      ? (client.stream as Socket)
      : (webSocket as unknown as { readonly _socket: Socket })._socket;
  const packets = new Inbox<Told>();
  const messages = new Inbox<IPublishPacket>();
  const goodbye = Promise.withResolvers<string>();
  let said = 'ended';
  client.on('packetreceive', (received) => {
    const packet = received as unknown as Told;
    if (packet.cmd === 'disconnect') {
      said = `0x${(packet.reasonCode ?? 0).toString(16)} ${packet.properties?.reasonString ?? ''}`;
      packets.push(packet);
    } else if (packet.cmd !== 'publish') {
      packets.push(packet);
    }
  });
  client.on('message', (_topic, _payload, packet) => messages.push(packet));
  client.on('error', (cause) => packets.end(cause));
  client.on('close', () => {
    packets.end(closedWith(said));
    messages.end(closedWith(said));
    goodbye.resolve(said);
  });
  // What the client has not taken stops it from reading, as a slow program would.
  let release: (() => void) | undefined;
  let isPaused = false;
  client.handleMessage = (_packet, done) => {
    if (isPaused || acksByHand) release = done;
    else done();
  };
  client.connect();
  try {
    const connack = await packets.next();
    const reasonCode = version === '5' ? (connack.reasonCode ?? 0) : (connack.returnCode ?? 0);
    if (reasonCode !== 0) throw refusalOf(connack, reasonCode);
  } catch (error) {
    client.end(true);
    throw error;
  }
  // It writes acknowledgements one by one, which Nagle's algorithm would hold back for 40 ms.
  socket().setNoDelay(true);
  return {
    client,
    packets,
    messages,
    goodbye: goodbye.promise,
    pause: () => (isPaused = true),
    resume: () => {
      isPaused = false;
      release?.();
    },
    cut: () => socket().resetAndDestroy(),
  };
}

/** The next packet of a kind; a DISCONNECT instead of it is a refusal. */
async function nextOf({ packets }: Connection, ...kinds: readonly string[]): Promise<Told> {
  for (;;) {
    const packet = await packets.next();
    if (packet.cmd === 'disconnect') throw refusalOf(packet, packet.reasonCode ?? 0);
    if (kinds.includes(packet.cmd)) return packet;
  }
}

/** Codes for which MQTT has a reason code, and whose reason string does not begin with our code. */
const codesByReason: ReadonlyMap<number, string> = new Map([
  // Bad user name or password, and not authorized, of MQTT 3.1.1.
  [0x04, 'unauthorized'],
  [0x05, 'unauthorized'],
  [0x80, 'refused'],
  [0x81, 'malformed'],
  [0x8f, 'bad_name'],
  [0x90, 'bad_name'],
  [0x95, 'too_large'],
]);

function refusalOf({ properties }: Told, reasonCode: number): Refused {
  const code = /^([a-z_]+):/.exec(properties?.reasonString ?? '')?.[1];
  const said = properties?.reasonString ?? '';
  return new Refused(reasonCode, code ?? codesByReason.get(reasonCode) ?? 'unknown', said);
}

/** `said`: as `goodbye` tells it. MQTT 3.1.1 closes without a word. */
function closedWith(said: string): Error {
  const [, reasonCode, reasonString] = /^0x(\w+) (.*)$/.exec(said) ?? [];
  if (reasonCode === undefined) return new Refused(0, 'closed');
  return refusalOf(
    { cmd: 'disconnect', properties: { reasonString: reasonString! } },
    Number.parseInt(reasonCode, 16),
  );
}

function valueOf(properties: UserProperties | undefined, name: string): string | undefined {
  const value = properties?.[name];
  return Array.isArray(value) ? value.at(-1) : value;
}

/** What the server adds to a message of MQTT 5; all else is the message's own. */
const isOwn = (name: string): boolean =>
  name === 'cursor' || name === 'offset' || name.startsWith('everywire-');

function receivedOf({ topic, payload, properties }: IPublishPacket): Received {
  const told = properties?.userProperties as UserProperties | undefined;
  const headers = Object.fromEntries(
    Object.entries(told ?? {}).flatMap(([name, value]) => (isOwn(name) ? [] : [[name, String(value)]])),
  );
  return {
    channel: topic,
    offset: Number(valueOf(told, 'offset') ?? untold.offset),
    cursor: valueOf(told, 'cursor') ?? untold.cursor,
    payload: Buffer.from(payload),
    type: properties?.contentType ?? '',
    event: valueOf(told, 'everywire-event'),
    headers: Object.keys(headers).length === 0 ? undefined : headers,
  };
}

function gapOf({ properties }: IPublishPacket): GapNotice | undefined {
  const told = valueOf(properties?.userProperties, 'everywire-gap');
  return told === undefined ? undefined : (JSON.parse(told) as GapNotice);
}

interface ReadOptions {
  readonly qos: Qos;
  /** Not what this connection publishes. */
  readonly isWithoutEcho?: boolean;
  readonly from: From;
  /** Whether what is retained is wanted first. */
  readonly isRetained: boolean;
}

/** MQTT 5: places to begin and cursors are user properties. */
async function read5(
  connection: Connection,
  filter: string,
  options: ReadOptions,
): Promise<RefreshableReader> {
  const { client, messages } = connection;
  const { qos, from, isRetained, isWithoutEcho = false } = options;
  // Its answer is read as a packet, for what the library does not hand on; then its callback says no more.
  client.subscribe(
    filter,
    {
      qos,
      nl: isWithoutEcho,
      rh: isRetained ? 0 : 2,
      properties: { userProperties: { cursor: 'on', ...from } },
    },
    () => undefined,
  );
  const suback = await nextOf(connection, 'suback');
  const [granted = 0x80] = suback.granted ?? [];
  if (granted >= 0x80) {
    client.end(true);
    throw refusalOf(suback, granted);
  }
  const told = suback.properties?.userProperties;
  // A gap notice comes with the next message.
  const isGap = valueOf(told, 'continuity') === 'gap';
  const first = isGap ? await messages.next() : undefined;
  let early = first && receivedOf(first);
  let cursor = valueOf(told, 'cursor')!;
  return {
    ...endings(connection),
    continuity: isGap ? 'gap' : 'exact',
    gap: first && gapOf(first),
    get cursor() {
      return cursor;
    },
    async next() {
      const message = early ?? receivedOf(await messages.next());
      early = undefined;
      ({ cursor } = message);
      return message;
    },
    async refresh(token) {
      send(client, {
        cmd: 'auth',
        reasonCode: 0x19,
        properties: { authenticationMethod: tokenMethod, authenticationData: Buffer.from(token) },
      });
      await nextOf(connection, 'auth');
    },
  };
}

/** The library has no method for AUTH, but writes one. */
function send(client: MqttClient, packet: object): void {
  (client as unknown as { _sendPacket(packet: object): void })._sendPacket(packet);
}

/** MQTT 3.1.1: the start is part of the filter, and the server reports no cursor. */
async function read3(connection: Connection, filter: string, { qos, from }: ReadOptions): Promise<Reader> {
  const { client, messages } = connection;
  const place = from.after ?? from.since;
  client.subscribe(place === undefined ? filter : `$since/${place}/${filter}`, { qos }, () => undefined);
  const suback = await nextOf(connection, 'suback');
  const [granted = 0x80] = suback.granted ?? [];
  if (granted >= 0x80) {
    client.end(true);
    throw refusalOf(suback, granted);
  }
  return {
    ...endings(connection),
    continuity: 'exact',
    gap: undefined,
    cursor: untold.cursor,
    next: async () => receivedOf(await messages.next()),
  };
}

function endings({ client, goodbye, pause, resume, cut }: Connection) {
  return { goodbye, pause, resume, cut, close: () => void client.end() };
}

async function publish(
  connection: Connection,
  way: MqttWay,
  channel: string,
  message: Outgoing,
): Promise<Answer> {
  const { client } = connection;
  const { version, qos } = way;
  const { payload, type, event, headers, key } = message;
  const properties = {
    contentType: type,
    userProperties: {
      ...headers,
      'everywire-key': key ?? randomUUID(),
      ...(event === undefined ? {} : { 'everywire-event': event }),
    },
  };
  if (client.disconnecting || !client.connected) throw new Refused(0, 'closed');
  const sent = once(client as unknown as EventEmitter, 'packetsend');
  client.publish(channel, payload, { qos, ...(version === '5' ? { properties } : {}) }, () => undefined);
  await sent;
  if (qos === 0) {
    // It has no answer, but one that is refused ends the connection before what is behind it is answered.
    send(client, { cmd: 'pingreq' });
    await nextOf(connection, 'pingresp');
    return untold;
  }
  const answer = await nextOf(connection, qos === 1 ? 'puback' : 'pubrec');
  const { reasonCode = 0 } = answer;
  if (reasonCode >= 0x80) throw refusalOf(answer, reasonCode);
  if (qos === 2) await nextOf(connection, 'pubcomp');
  if (version !== '5') return untold;
  const told = answer.properties?.userProperties;
  return {
    offset: Number(valueOf(told, 'offset')),
    cursor: valueOf(told, 'cursor')!,
    ...(valueOf(told, 'duplicate') === 'true' ? { duplicate: true } : {}),
  };
}

async function read(server: Addresses, way: MqttWay, filter: string, options: Partial<ReadOptions>) {
  return readOn(await open(server, way), way, filter, options);
}

function readOn(
  connection: Connection,
  way: MqttWay,
  filter: string,
  options: Partial<ReadOptions> = {},
): Promise<Reader> {
  const all = { qos: way.qos, from: {}, isRetained: false, ...options };
  return way.version === '5' ? read5(connection, filter, all) : read3(connection, filter, all);
}

async function readSeveral(server: Addresses, way: MqttWay, filters: readonly string[]) {
  const connection = await open(server, way);
  const { client } = connection;
  for (const filter of filters) {
    client.subscribe(filter, { qos: way.qos }, () => undefined);
    const suback = await nextOf(connection, 'suback');
    const [granted = 0x80] = suback.granted ?? [];
    if (granted < 0x80) continue;
    client.end(true);
    throw refusalOf(suback, granted);
  }
  return { close: () => void client.end() };
}

async function readAndPublish(
  server: Addresses,
  way: MqttWay,
  filter: string,
  options: Partial<ReadOptions> = {},
): Promise<PublishingReader> {
  const connection = await open(server, way);
  return Object.assign(await readOn(connection, way, filter, options), {
    publish: publisherOn(connection, way).publish,
  });
}

/** The messages of a session that was kept, which needs no new SUBSCRIBE. */
function resumed(connection: Connection): Reader {
  return {
    ...endings(connection),
    continuity: 'exact',
    gap: undefined,
    cursor: untold.cursor,
    next: async () => repeatable(await connection.messages.next()),
  };
}

function repeatable(packet: IPublishPacket): Received {
  return { ...receivedOf(packet), isRepeated: packet.dup };
}

async function readDurably(server: Addresses, way: MqttWay, filter: string): Promise<DurableReader> {
  const clientId = randomUUID();
  const comeBack = async (): Promise<DurableReader> => ({
    ...resumed(await open(server, way, { clientId })),
    comeBack,
  });
  const connection = await open(server, way, { clientId });
  await readOn(connection, way, filter);
  return { ...resumed(connection), comeBack };
}

/** A session whose client has at most one message that it has not acknowledged, so an ack has come when the next one does. */
async function readAcknowledging(
  server: Addresses,
  way: MqttWay,
  filter: string,
): Promise<AcknowledgingReader> {
  const clientId = randomUUID();
  const openSession = () => open(server, way, { clientId, acksByHand: true });
  const readerOn = (connection: Connection): AcknowledgingReader => ({
    ...resumed(connection),
    ack: async () => connection.resume(),
    async abandon() {
      connection.cut();
      return readerOn(await openSession());
    },
  });
  const connection = await openSession();
  await readOn(connection, way, filter);
  return readerOn(connection);
}

async function connectPublisher(server: Addresses, way: MqttWay): Promise<Publisher> {
  return publisherOn(await open(server, way), way);
}

function publisherOn(connection: Connection, way: MqttWay): Publisher {
  return {
    publish: (channel, message) => publish(connection, way, channel, message),
    get isOpen() {
      return connection.client.connected;
    },
    close: () => void connection.client.end(),
  };
}

const wordless = 'MQTT 3.1.1 refuses a SUBSCRIBE with 0x80, and closes for all else';
const cannotRefresh: Lacks = {
  lacks: 'MQTT 3.1.1 has no AUTH: a client reconnects, and its session continues',
};
const cannotSlow = 'there is no answer that could say so: the server reads more slowly';
const unbounded = 'MQTT 3.1.1 has no receive maximum, so nothing tells when a PUBACK has come';
const unacknowledged = 'a message at QoS 0 is not acknowledged';
const acknowledgedEarly = 'the library answers PUBREC before its program has the message';
const lostOnTheWay = 'a message at QoS 0 that was written to a broken connection is gone';
const cannotRefuse =
  'it may only be acknowledged, or the connection closed, and then the client sends it again';
const unanswered = 'a PUBLISH at QoS 0 is not answered';

export function mqttDriver(way: MqttWay): TransportDriver {
  const { version, link, qos } = way;
  const isOld = version === '3.1.1';
  return {
    name: `mqtt ${version} ${link} QoS ${qos}`,
    transport: 'mqtt',
    read: (server, filter, from = {}) => read(server, way, filter, { from }),
    readSeveral: (server, filters) => readSeveral(server, way, filters),
    readRetained: (server, filter) => read(server, way, filter, { isRetained: true }),
    readRefreshably: isOld
      ? cannotRefresh
      : async (server, filter, from = {}) =>
          read5(await open(server, way), filter, { qos, from, isRetained: false }),
    readAcknowledging:
      qos === 1 && !isOld
        ? (server, filter) => readAcknowledging(server, way, filter)
        : { lacks: qos === 1 ? unbounded : qos === 0 ? unacknowledged : acknowledgedEarly },
    readDurably: qos === 0 ? { lacks: lostOnTheWay } : (server, filter) => readDurably(server, way, filter),
    readAndPublish: (server, filter) => readAndPublish(server, way, filter),
    readOthers: isOld
      ? hearsItself
      : (server, filter) => readAndPublish(server, way, filter, { isWithoutEcho: true }),
    connect: (server) => connectPublisher(server, way),
    publish: publishOver((server) => connectPublisher(server, way)),
    refusedPublisher: isOld || qos === 0 ? 'is closed' : 'stays',
    ...(isOld || qos === 0 ? { publishedTooFast: { reason: cannotSlow, is: 'is delayed' } } : {}),
    goodbyeOfToken: isOld ? /^ended$/ : /^0x87 unauthorized: /,
    unsent: { reason: 'the library looks for # and + itself', is: /[#+]|^$/ },
    ...(isOld
      ? {
          codeOfRefusals: { reason: wordless, is: /^(refused|closed)$/ },
          publishedTooLarge: { reason: cannotRefuse, is: 'is dropped' as const },
          untoldToReaders: {
            reason: 'MQTT 3.1.1 has a topic and a payload, and no properties',
            fields: ['cursor', 'offset', 'type', 'headers'],
          },
        }
      : {}),
    ...(isOld
      ? {
          untoldByPublishers: {
            reason: 'MQTT 3.1.1 has no properties, and its PUBACK nothing but a packet id',
            fields: ['cursor', 'offset', 'type', 'headers'],
          },
        }
      : qos === 0
        ? { untoldByPublishers: { reason: unanswered, fields: ['cursor', 'offset'] } }
        : {}),
  };
}

const ways = (['3.1.1', '5'] as const).flatMap((version) =>
  (['TCP', 'WebSocket'] as const).flatMap((link) =>
    ([0, 1, 2] as const).map((qos): MqttWay => ({ version, link, qos })),
  ),
);

export const mqttDrivers: readonly TransportDriver[] = ways.map(mqttDriver);
