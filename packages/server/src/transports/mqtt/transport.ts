import type { Endpoint, Transport } from '../../core/transport.ts';
import type { UpgradeRouter } from '../../http/upgrades.ts';
import {
  listenTcp,
  noListener,
  type ListenAddress,
  type SecureAddress,
  type TcpListener,
} from '../../net/listener.ts';
import type { LinkHandlers, OpenLinks } from '../../net/link.ts';
import { serveWebSocketLinks } from '../../net/websocket-links.ts';
import { Broker, type BrokerOptions } from './broker.ts';
import { MqttConnection } from './connection.ts';
import type { MqttHost } from './limits.ts';

export interface MqttFront {
  readonly upgrades: UpgradeRouter;
  /** `http://host:port`, once it listens. */
  readonly url: string;
}

export interface MqttTransportOptions extends BrokerOptions {
  /** Origins that browsers may come from; absent: any, as long as authentication is off. */
  readonly allowedOrigins: readonly string[] | undefined;
  readonly listen: ListenAddress;
  /** Where it is spoken over TLS; absent: nowhere. */
  readonly listenSecurely?: SecureAddress | undefined;
}

const name = 'mqtt';
const secureName = 'mqtts';
const path = '/mqtt';
/** What the WebSocket must agree on [MQTT-6.0.0-3]; `mqttv3.1` is what clients of MQTT 3.1 offer. */
const protocols = ['mqtt', 'mqttv3.1'];

const handlers: LinkHandlers<MqttConnection> = {
  onData: ({ context }, bytes) => context.receive(bytes),
  onDrain: ({ context }) => context.drained(),
  onClose: ({ context }, how) => context.ended(how),
  onDeadline: ({ context }) => context.overdue(),
};

/** MQTT 3.1, 3.1.1 and 5, over TCP and over WebSocket. */
export function createMqttTransport(front: MqttFront, options: MqttTransportOptions): Transport {
  return new MqttTransport(front, options);
}

class MqttTransport implements Transport {
  readonly name = name;
  readonly #front: MqttFront;
  readonly #options: MqttTransportOptions;
  #broker!: Broker;
  #tcp!: TcpListener<MqttConnection>;
  #secure: TcpListener<MqttConnection> = noListener();
  #webSocket!: OpenLinks<MqttConnection>;

  constructor(front: MqttFront, options: MqttTransportOptions) {
    this.#front = front;
    this.#options = options;
  }

  get endpoints(): readonly Endpoint[] {
    const { url, port } = this.#tcp;
    const secure = this.#secure.url;
    const webSocketUrl = `${this.#front.url.replace(/^http/, 'ws')}${path}`;
    const { hostname } = new URL(this.#front.url);
    return [
      ...(url === undefined
        ? []
        : [{ transport: name, url, tryIt: `mosquitto_sub -h ${hostname} -p ${port} -t demo` }]),
      ...(secure === undefined
        ? []
        : [{ transport: name, url: secure, tryIt: `npx everywire subscribe ${secure}/demo` }]),
      {
        transport: name,
        url: webSocketUrl,
        tryIt: `npx everywire subscribe mqtt+${webSocketUrl.slice(0, -path.length)}/demo`,
      },
    ];
  }

  async start(host: MqttHost): Promise<void> {
    const { limits, clock, log, hub, admission } = host;
    const { allowedOrigins, listen, listenSecurely } = this.#options;
    this.#broker = new Broker(host, this.#options);
    await this.#broker.sessions.start();
    const shared = {
      limits,
      clock,
      log,
      handlers,
      open: (link: MqttConnection['link']) =>
        hub.isDraining ? undefined : new MqttConnection(this.#broker, link),
    };
    this.#webSocket = serveWebSocketLinks<MqttConnection>({
      ...shared,
      upgrades: this.#front.upgrades,
      path,
      handshake: {
        allowedOrigins: allowedOrigins === undefined ? undefined : new Set(allowedOrigins),
        protocols,
        isProtocolRequired: true,
      },
      isTextData: false,
      answersAs: 'binary',
      messageBytesMax: 2 * (limits.payloadBytesMax + limits.headerBytesMax),
      untrustedMessageBytesMax: limits.headerBytesMax,
    });
    this.#tcp = await listenTcp<MqttConnection>({ ...shared, ...listen, name, admission });
    if (listenSecurely !== undefined)
      this.#secure = await listenTcp<MqttConnection>({
        ...shared,
        ...listenSecurely,
        name: secureName,
        admission,
      });
  }

  async drain(deadline: AbortSignal): Promise<void> {
    this.#tcp.close();
    this.#secure.close();
    const links = [...this.#tcp, ...this.#secure, ...this.#webSocket];
    for (const { context } of links) context.goAway();
    const cut = (): void => {
      for (const link of links) link.destroy();
    };
    if (deadline.aborted) cut();
    deadline.addEventListener('abort', cut, { once: true });
    await Promise.all([this.#tcp.emptied(), this.#secure.emptied(), this.#webSocket.emptied()]);
    deadline.removeEventListener('abort', cut);
    await this.#broker.sessions.stop();
  }
}
