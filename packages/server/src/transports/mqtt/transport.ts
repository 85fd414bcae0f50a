import { messageBytesMax } from '../../core/message-bounds.ts';
import type { Endpoint, Transport } from '../../core/seams/transport.ts';
import {
  ByteProtocolServer,
  type ByteProtocolFront,
  type ByteProtocolPlaces,
} from '../parts/byte-protocol.ts';
import type { HttpFront } from '../../http/front.ts';
import { Broker, type BrokerOptions } from './broker.ts';
import { connectBytesMax } from './connecting.ts';
import { MqttConnection } from './connection.ts';
import type { MqttHost } from './limits.ts';
import { addSessionRoutes } from './routes.ts';

/** The part of the HTTP port that the broker needs: the upgrades to it, and a place for the sessions it keeps. */
export type MqttFront = ByteProtocolFront & Pick<HttpFront, 'extend'>;

export type MqttTransportOptions = BrokerOptions & ByteProtocolPlaces;

const name = 'mqtt';
const path = '/mqtt';
/** The subprotocols of the WebSocket [MQTT-6.0.0-3]; clients of MQTT 3.1 offer `mqttv3.1`. */
const subprotocols = ['mqtt', 'mqttv3.1'];

/** MQTT 3.1, 3.1.1 and 5, over TCP and over WebSocket. */
export function createMqttTransport(front: MqttFront, options: MqttTransportOptions): Transport {
  return new MqttTransport(front, options);
}

class MqttTransport implements Transport {
  readonly name = name;
  readonly #front: MqttFront;
  readonly #options: MqttTransportOptions;
  #broker!: Broker;
  #server!: ByteProtocolServer<MqttConnection>;

  constructor(front: MqttFront, options: MqttTransportOptions) {
    this.#front = front;
    this.#options = options;
  }

  get endpoints(): readonly Endpoint[] {
    const { url, port, secureUrl, webSocketUrl } = this.#server;
    const { hostname } = new URL(this.#front.url);
    return [
      ...(url === undefined
        ? []
        : [{ transport: name, url, tryIt: `mosquitto_sub -h ${hostname} -p ${port} -t demo` }]),
      ...(secureUrl === undefined
        ? []
        : [{ transport: name, url: secureUrl, tryIt: `npx everywire subscribe ${secureUrl}/demo` }]),
      {
        transport: name,
        url: webSocketUrl,
        tryIt: `npx everywire subscribe mqtt+${webSocketUrl.slice(0, -path.length)}/demo`,
      },
    ];
  }

  async start(host: MqttHost): Promise<void> {
    const { limits, hub } = host;
    const broker = new Broker(host, this.#options);
    this.#broker = broker;
    await broker.sessions.start();
    this.#front.extend((app) => addSessionRoutes(app, broker.sessions, host));
    const protocol = {
      name,
      path,
      subprotocols,
      isSubprotocolRequired: true,
      frames: 'binary',
      messageBytesMax: 2 * messageBytesMax(limits, 'bytes'),
      untrustedMessageBytesMax: connectBytesMax(host),
      open: (link: MqttConnection['link']) => (hub.isDraining ? undefined : new MqttConnection(broker, link)),
    } as const;
    this.#server = await ByteProtocolServer.serve<MqttConnection>(protocol, host, this.#front, this.#options);
  }

  async drain(deadline: AbortSignal): Promise<void> {
    await this.#server.drain(deadline, (connection) => connection.goAway());
    await this.#broker.sessions.stop();
  }
}
