import type { Agent } from '../agent-process.ts';
import { channelName } from './channel-name.ts';
import type { RunningTarget } from './target.ts';

/** A started broker that the bench uses over TCP with MQTT; a separate process publishes to it. */
export function mqttBroker(
  broker: Pick<RunningTarget, 'pid' | 'port' | 'storeFolder' | 'stop'>,
  publisher: Agent,
): RunningTarget {
  const { port } = broker;
  return {
    ...broker,
    subscribePath: () => channelName,
    startPublishing: async (ratePerSecond, payloadBytes) => {
      await publisher.call('startPublishing', {
        target: { wire: 'mqtt-qos0', port, path: '' },
        channel: channelName,
        channels: 1,
        ratePerSecond,
        payloadBytes,
        connections: 1,
        inFlightMax: 5_000,
      });
    },
    stopPublishing: () => publisher.call('stopPublishing', undefined),
    publishTargets: [{ wire: 'mqtt', port, path: '' }],
  };
}
