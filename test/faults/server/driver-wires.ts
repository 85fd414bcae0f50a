import type { Envelope } from '@everywire/protocol';
import type { Addresses, Reader, Received, TransportDriver } from '../../drivers/driver.ts';
import { mqttDriver } from '../../drivers/mqtt.ts';
import { socketIoPollingDriver, socketIoWebSocketDriver } from '../../drivers/socketio.ts';
import { stompTcpDriver, stompWebSocketDriver } from '../../drivers/stomp.ts';
import type { OpenReading, ReadingEvents, ReadWire } from './read-wires.ts';

/** Clients of other projects that report their position. */
const drivers: readonly TransportDriver[] = [
  socketIoWebSocketDriver,
  socketIoPollingDriver,
  stompTcpDriver,
  stompWebSocketDriver,
  mqttDriver({ version: '5', link: 'TCP', qos: 0 }),
  mqttDriver({ version: '5', link: 'TCP', qos: 1 }),
  mqttDriver({ version: '5', link: 'WebSocket', qos: 2 }),
];

/** Wires for readers that change from one to another; `addresses` is asked anew each time. */
export function driverWires(addresses: () => Addresses): readonly ReadWire[] {
  return drivers.map((driver) => ({
    name: driver.name,
    open: (_http, filter, after, events) => openReading(driver, addresses(), { filter, after, events }),
  }));
}

interface Reading {
  readonly filter: string;
  readonly after: string;
  readonly events: ReadingEvents;
}

/** How long a client library may take to notice that its own connection was closed. */
const endsWithinMs = 5_000;

function openReading(driver: TransportDriver, server: Addresses, reading: Reading): OpenReading {
  const { filter, after, events } = reading;
  const givenUp = Promise.withResolvers<undefined>();
  const state: { isCut: boolean; reader: Reader | undefined } = { isCut: false, reader: undefined };
  const read = async (): Promise<void> => {
    const reader = await driver.read(server, filter, { after });
    state.reader = reader;
    if (state.isCut) reader.cut();
    if (reader.gap !== undefined && !state.isCut) events.gap(reader.gap);
    for (;;) {
      const message = await reader.next();
      // What had come and was not taken yet is what a cut client loses.
      if (state.isCut) return;
      events.message(envelopeOf(message));
    }
  };
  return {
    // However it ends, the server is dead or the connection was cut, and the reader comes back.
    ended: Promise.race([read().catch(() => undefined), givenUp.promise]),
    cut(how) {
      state.isCut = true;
      // A library that is closed while its server is killed may never report the end.
      setTimeout(() => givenUp.resolve(undefined), endsWithinMs).unref();
      if (how === 'fin') state.reader?.close();
      else state.reader?.cut();
    },
  };
}

function envelopeOf({ channel, offset, cursor, payload, type }: Received): Envelope {
  return { channel, offset, cursor, id: '', time: '', type, data: payload.toString() };
}
