import Type from 'typebox';
import type { LimitDeclarations, LimitsOf } from '../../core/limits.ts';
import type { Host } from '../../core/seams/transport.ts';
import { ifTaken, portSchema, strict } from '../../net/port-schema.ts';
import type { WebSocketLimits } from '../../websocket/limits.ts';
import type { PartsLimits } from '../parts/limits.ts';

/** The first byte of `Draft.native` in messages that MQTT clients published. It is stored: never change it. */
export const mqttNativeByte = 1;

export const mqttLimits = {
  mqttReceiveMax: {
    default: 64,
    about:
      'PUBLISH packets above QoS 0 that a client may have unanswered: the receive maximum, announced and enforced.',
  },
  mqttConnectBytesMax: {
    default: 64 * 1024,
    about:
      'The largest CONNECT while authentication is on: with its will. While it is off, as large as a message.',
  },
  mqttUnreleasedMax: {
    default: 4_096,
    about:
      'QoS 2 packet ids that a client of MQTT 3.1 or 3.1.1, which has no receive maximum, may leave ' +
      'unreleased. It may have written many PUBLISHes before it reads the first answer; some 100 bytes ' +
      'each.',
  },
  mqttInFlightMax: {
    default: 256,
    about:
      'The same towards a client that takes more: what its session keeps of each is a place and a packet id.',
  },
  mqttTopicAliasMax: { default: 16 },
  mqttKeepAliveSecondsMax: {
    default: 0,
    about:
      'Longest keep alive of an MQTT client; 0: no limit. If an MQTT 5 client asks for more, the server ' +
      'uses this one and says so; it refuses an older client with return code 2, as Mosquitto does.',
  },
  mqttSessionIdleMs: {
    default: 7 * 24 * 3_600_000,
    about:
      'How long a session of MQTT 3.1 or 3.1.1 is kept after its client has left, and one of MQTT 5 whose ' +
      'client asked for no end; the CONNACK says so to the latter.',
  },
  sessionsMax: {
    default: 10_000,
    about:
      'MQTT sessions that are kept for clients, open or away: in all, and of one subject, which holds while ' +
      'authentication is on and not for administrators. One more ends the session that has been away for ' +
      'longest, and is refused only while all of them are open.',
  },
  sessionsPerSubjectMax: { default: 1_000 },
} satisfies LimitDeclarations;

export type MqttLimits = WebSocketLimits & PartsLimits & LimitsOf<typeof mqttLimits>;

export type MqttHost = Host<MqttLimits>;

/** The section `mqtt` of the configuration. */
export const mqttSection = Type.Object(
  {
    port: portSchema(1883, `Port of MQTT over TCP. ${ifTaken}`),
    tlsPort: portSchema(8883, `Port of MQTT over TLS, given tls.cert. ${ifTaken}`),
  },
  strict,
);
