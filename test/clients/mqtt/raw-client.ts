import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { WebSocket } from 'ws';
import {
  clientReader,
  encodePacket,
  type Connack,
  type Connect,
  type Packet,
  type PacketReader,
  type Publish,
  type ServerPacket,
  type Subscribe,
  type Version,
} from '@everywire/wires/mqtt';

type Kind = ServerPacket['type'];
type Of<K extends Kind> = Extract<ServerPacket, { readonly type: K }>;

const patienceMs = 60_000;

/** A client that sends the packets of the test, also invalid ones, and keeps all answers. */
export class RawClient {
  readonly version: Version;
  readonly packets: ServerPacket[] = [];
  readonly #write: (bytes: Buffer) => void;
  readonly #writeText: (text: string) => void;
  readonly #cut: () => void;
  readonly #reader: PacketReader<ServerPacket>;
  readonly #watchers = new Set<() => void>();
  readonly closed: Promise<void>;
  isClosed = false;
  /** Of a WebSocket, once it is closed. */
  closeCode: number | undefined;
  #lastPacketId = 0;

  private constructor(
    version: Version,
    socket: {
      readonly write: (bytes: Buffer) => void;
      readonly writeText: (text: string) => void;
      readonly cut: () => void;
      readonly closed: Promise<unknown>;
    },
  ) {
    this.version = version;
    this.#write = socket.write;
    this.#writeText = socket.writeText;
    this.#cut = socket.cut;
    this.#reader = clientReader(version, { packetBytesMax: 10_000_000 });
    this.closed = socket.closed.then(() => {
      this.isClosed = true;
      this.#look();
    });
  }

  /** `url`: `mqtt://host:port`, or that of the HTTP port for WebSocket. */
  static async open(
    url: string,
    version: Version = 5,
    protocols: readonly string[] = ['mqtt'],
  ): Promise<RawClient> {
    return url.startsWith('mqtt:')
      ? RawClient.#overTcp(url, version)
      : RawClient.#overWebSocket(url, version, protocols);
  }

  static async #overTcp(url: string, version: Version): Promise<RawClient> {
    const { hostname, port } = new URL(url);
    const socket: Socket = connectTcp({ host: hostname, port: Number(port), noDelay: true });
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    const client = new RawClient(version, {
      write: (bytes) => socket.write(bytes),
      writeText: (text) => socket.write(text),
      cut: () => socket.resetAndDestroy(),
      closed: new Promise((resolve) => socket.once('close', resolve)),
    });
    socket.on('data', (bytes) => client.#receive(bytes));
    return client;
  }

  static async #overWebSocket(
    url: string,
    version: Version,
    protocols: readonly string[],
  ): Promise<RawClient> {
    const address = new URL(url.replace(/^http/, 'ws'));
    address.pathname = '/mqtt';
    const socket = new WebSocket(address, [...protocols], {
      perMessageDeflate: false,
    });
    socket.on('error', () => undefined);
    const client = new RawClient(version, {
      write: (bytes) => socket.send(bytes),
      writeText: (text) => socket.send(text),
      cut: () => socket.terminate(),
      closed: new Promise((resolve) => socket.once('close', resolve)),
    });
    socket.on('message', (bytes: Buffer) => client.#receive(bytes));
    socket.on('close', (code) => (client.closeCode = code));
    await once(socket, 'open');
    return client;
  }

  /** Connected, with what CONNECT says beyond the default. */
  static async connected(
    url: string,
    options: Partial<Omit<Connect, 'type'>> = {},
  ): Promise<{ readonly client: RawClient; readonly connack: Connack }> {
    const client = await RawClient.open(url, options.version ?? 5);
    const connack = await client.connect(options);
    return { client, connack };
  }

  async connect(options: Partial<Omit<Connect, 'type'>> = {}): Promise<Connack> {
    this.send({
      type: 'connect',
      version: this.version,
      cleanStart: true,
      keepAliveSeconds: 0,
      clientId: '',
      will: undefined,
      userName: undefined,
      password: undefined,
      properties: {},
      ...options,
    });
    return this.next('connack');
  }

  write(bytes: Buffer): void {
    if (!this.isClosed) this.#write(bytes);
  }

  /** What MQTT over WebSocket has not: a text frame. */
  writeText(text: string): void {
    this.#writeText(text);
  }

  /** The server has had occasion to read what was written. */
  async turn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }

  send(packet: Packet): void {
    this.write(encodePacket(packet, this.version)!);
  }

  publish(topic: string, payload: string, fields: Partial<Publish> = {}): number {
    const qos = fields.qos ?? 0;
    const packetId = fields.packetId ?? (qos === 0 ? 0 : this.nextPacketId());
    this.send({
      type: 'publish',
      topic,
      payload: Buffer.from(payload),
      qos,
      retain: false,
      dup: false,
      properties: {},
      ...fields,
      packetId,
    });
    return packetId;
  }

  /** Publishes and goes through the acknowledgements; returns the reason code. */
  async deliver(topic: string, payload: string, fields: Partial<Publish> = {}): Promise<number> {
    const packetId = this.publish(topic, payload, { qos: 1, ...fields });
    if (fields.qos !== 2) return (await this.next('puback')).reasonCode;
    const { reasonCode } = await this.next('pubrec');
    if (reasonCode >= 0x80) return reasonCode;
    this.send({ type: 'pubrel', packetId, reasonCode: 0, properties: {} });
    return (await this.next('pubcomp')).reasonCode;
  }

  /** Subscribes to one filter; returns the reason code. */
  async subscribe(
    filter: string,
    options: Partial<Subscribe['filters'][number]> = {},
    properties: Subscribe['properties'] = {},
  ): Promise<number> {
    const packetId = this.nextPacketId();
    this.send({
      type: 'subscribe',
      packetId,
      filters: [
        {
          filter,
          isWellFormed: true,
          qos: 0,
          noLocal: false,
          retainAsPublished: false,
          retainHandling: 0,
          ...options,
        },
      ],
      properties,
    });
    const suback = await this.next('suback');
    return suback.reasonCodes[0]!;
  }

  async unsubscribe(filter: string): Promise<number | undefined> {
    const packetId = this.nextPacketId();
    this.send({ type: 'unsubscribe', packetId, filters: [{ filter, isWellFormed: true }], properties: {} });
    return (await this.next('unsuback')).reasonCodes[0];
  }

  ack(type: 'puback' | 'pubrec' | 'pubrel' | 'pubcomp', packetId: number, reasonCode = 0): void {
    this.send({ type, packetId, reasonCode, properties: {} });
  }

  /** A message, acknowledged as its QoS asks. */
  async take(): Promise<Publish> {
    const publish = await this.next('publish');
    if (publish.qos === 1) this.ack('puback', publish.packetId);
    if (publish.qos === 2) {
      this.ack('pubrec', publish.packetId);
      const pubrel = await this.next('pubrel');
      this.ack('pubcomp', pubrel.packetId);
    }
    return publish;
  }

  async texts(count: number): Promise<string[]> {
    const texts: string[] = [];
    while (texts.length < count) texts.push((await this.take()).payload.toString());
    return texts;
  }

  /** Everything sent before has been handled when this resolves. */
  async settled(): Promise<void> {
    this.send({ type: 'pingreq' });
    await this.next('pingresp');
  }

  disconnect(reasonCode = 0, properties = {}): void {
    this.send({ type: 'disconnect', reasonCode, properties });
  }

  /** Without a word. */
  cut(): void {
    this.#cut();
  }

  nextPacketId(): number {
    this.#lastPacketId += 1;
    return this.#lastPacketId;
  }

  /** The first packet of that kind which was not taken. */
  async next<K extends Kind>(kind: K): Promise<Of<K>> {
    const find = (): number => this.packets.findIndex(({ type }) => type === kind);
    await this.until(() => find() >= 0, `a ${kind}`);
    return this.packets.splice(find(), 1)[0] as Of<K>;
  }

  /** Resolves when something came that was not taken, or the connection has ended; however long that takes. */
  anything(): Promise<void> {
    if (this.packets.length > 0 || this.isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const look = (): void => {
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
    });
  }

  /** Resolves once `seen`; rejects when the connection ends before, or after a while. */
  until(seen: () => boolean, what = 'what was awaited'): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => end(`${what} did not come`), patienceMs);
      const end = (failure?: string): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        if (failure === undefined) resolve();
        else reject(new Error(`${failure}; there is ${JSON.stringify(this.packets)}`));
      };
      const look = (): void => {
        if (seen()) end();
        else if (this.isClosed) end(`${what} did not come before the end`);
      };
      this.#watchers.add(look);
      look();
    });
  }

  #receive(bytes: Buffer): void {
    this.#reader.push(Buffer.from(bytes));
    for (let packet = this.#reader.next(); packet !== undefined; packet = this.#reader.next()) {
      if (packet.type === 'fault') throw new Error(`the server sent a fault: ${packet.detail}`);
      this.packets.push(packet);
    }
    this.#look();
  }

  #look(): void {
    for (const look of [...this.#watchers]) look();
  }
}
