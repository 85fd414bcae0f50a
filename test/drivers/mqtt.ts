import { randomUUID } from 'node:crypto';
import { once, type EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import type { GapNotice } from '@everywire/protocol';
import mqtt, { type IPublishPacket, type MqttClient } from 'mqtt';
import { WebSocket } from 'ws';
import {
  Refused,
  untold,
  type Addresses,
  type Answer,
  type From,
  type Outgoing,
  type Reader,
  type Received,
  type TransportDriver,
} from './driver.ts';
import { Inbox } from './inbox.ts';

type Qos = 0 | 1 | 2;

export interface MqttWay {
  readonly version: '3.1.1' | '5';
  readonly link: 'TCP' | 'WebSocket';
  readonly qos: Qos;
}

/** A connection of the `mqtt` package: somebody else's reading of the standard. */
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
  readonly properties?: { readonly reasonString?: string; readonly userProperties?: UserProperties };
  readonly granted?: readonly number[];
}

type UserProperties = Readonly<Record<string, string | string[]>>;

async function open(server: Addresses, { version, link }: MqttWay): Promise<Connection> {
  const url = link === 'TCP' ? server.mqtt! : `${server.url.replace('http', 'ws')}/mqtt`;
  let webSocket: WebSocket | undefined;
  const client = mqtt.connect(url, {
    protocolVersion: version === '5' ? 5 : 4,
    reconnectPeriod: 0,
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
    packets.end(new Error(`the server closed: ${said}`));
    messages.end(new Error(`the server closed: ${said}`));
    goodbye.resolve(said);
  });
  // What the client has not taken stops it from reading, as a slow program would.
  let release: (() => void) | undefined;
  let isPaused = false;
  client.handleMessage = (_packet, done) => {
    if (isPaused) release = done;
    else done();
  };
  try {
    await packets.next();
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

/** Codes that MQTT has a number of its own for, where the words do not begin with the code. */
const codesByReason: ReadonlyMap<number, string> = new Map([
  [0x81, 'malformed'],
  [0x8f, 'bad_name'],
  [0x90, 'bad_name'],
  [0x95, 'too_large'],
]);

function refusalOf({ properties }: Told, reasonCode: number): Refused {
  const code = /^([a-z_]+):/.exec(properties?.reasonString ?? '')?.[1];
  return new Refused(reasonCode, code ?? codesByReason.get(reasonCode) ?? 'unknown');
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

/** MQTT 5: places to begin and cursors are user properties. */
async function read5(connection: Connection, filter: string, qos: Qos, from: From): Promise<Reader> {
  const { client, messages } = connection;
  // Its answer is read as a packet, for what the library does not hand on; then its callback says no more.
  client.subscribe(
    filter,
    { qos, rh: 2, properties: { userProperties: { cursor: 'on', ...from } } },
    () => undefined,
  );
  const suback = await nextOf(connection, 'suback');
  const [granted = 0x80] = suback.granted ?? [];
  if (granted >= 0x80) {
    client.end(true);
    throw refusalOf(suback, granted);
  }
  const told = suback.properties?.userProperties;
  // A gap is told with the message behind it.
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
  };
}

/** MQTT 3.1.1: a place to begin is part of the filter, and nothing tells where the reader stands. */
async function read3(connection: Connection, filter: string, qos: Qos, from: From): Promise<Reader> {
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
  const sent = once(client as unknown as EventEmitter, 'packetsend');
  client.publish(channel, payload, { qos, ...(version === '5' ? { properties } : {}) }, () => undefined);
  await sent;
  if (qos === 0) return untold;
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

export function mqttDriver(way: MqttWay): TransportDriver {
  const { version, link, qos } = way;
  const isOld = version === '3.1.1';
  return {
    name: `mqtt ${version} ${link} QoS ${qos}`,
    async read(server, filter, from = {}) {
      const connection = await open(server, way);
      return isOld ? read3(connection, filter, qos, from) : read5(connection, filter, qos, from);
    },
    async publish(server, channel, message) {
      const connection = await open(server, way);
      try {
        return await publish(connection, way, channel, message);
      } finally {
        connection.client.end();
      }
    },
    ...(isOld
      ? {
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
        ? {
            untoldByPublishers: {
              reason: 'a PUBLISH at QoS 0 is not answered',
              fields: ['cursor', 'offset'],
            },
          }
        : {}),
  };
}

const ways = (['3.1.1', '5'] as const).flatMap((version) =>
  (['TCP', 'WebSocket'] as const).flatMap((link) =>
    ([0, 1, 2] as const).map((qos): MqttWay => ({ version, link, qos })),
  ),
);

export const mqttDrivers: readonly TransportDriver[] = ways.map(mqttDriver);
