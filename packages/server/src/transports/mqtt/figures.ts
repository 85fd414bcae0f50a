/** The counters of the broker since its start, for `$SYS`. */
export interface MqttFigures {
  connections: number;
  connectionsMaximum: number;
  subscriptions: number;
  /** Control packets. */
  packetsReceived: number;
  packetsSent: number;
  bytesReceived: number;
  bytesSent: number;
  publishReceived: number;
  /** Messages that were too large: acknowledged and not stored. */
  publishDropped: number;
  publishSent: number;
  publishBytesReceived: number;
}

export function noFigures(): MqttFigures {
  return {
    connections: 0,
    connectionsMaximum: 0,
    subscriptions: 0,
    packetsReceived: 0,
    packetsSent: 0,
    bytesReceived: 0,
    bytesSent: 0,
    publishReceived: 0,
    publishDropped: 0,
    publishSent: 0,
    publishBytesReceived: 0,
  };
}

export function countConnection(figures: MqttFigures): void {
  figures.connections += 1;
  figures.connectionsMaximum = Math.max(figures.connectionsMaximum, figures.connections);
}
