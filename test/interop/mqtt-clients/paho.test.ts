import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { debianPython, pahoForPython } from '../../../scripts/tools.ts';
import { endPrograms, runProgram } from '../../support/program.ts';
import { startTestServer, type TestServer } from '../../support/server.ts';
import { describeWith } from '../tool-suite.ts';

const program = fileURLToPath(new URL('../program/paho-mqtt.py', import.meta.url));

/** What the program prints: `[topic, payload, qos, retain]` for each message. */
interface Given {
  readonly granted: readonly unknown[];
  readonly delivered: readonly unknown[];
  readonly retained: unknown;
  readonly new: boolean;
  readonly returned: boolean;
  readonly meanwhile: readonly unknown[];
  readonly will: unknown;
  readonly properties?: unknown;
}

describeWith(pahoForPython, 'Paho for Python', () => {
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer({});
  });
  afterAll(async () => {
    endPrograms();
    await server.stop();
  });

  for (const transport of ['tcp', 'websockets'] as const) {
    for (const [version, name] of [
      ['4', '3.1.1'],
      ['5', '5'],
    ] as const) {
      it(`MQTT ${name} over ${transport}: all QoS, retained, a session that was away, a will`, async () => {
        const { hostname, port } = new URL(transport === 'tcp' ? server.mqtt! : server.url);
        const [line] = await runProgram(debianPython, [program, hostname, port, transport, version]).done;
        const given = JSON.parse(line!) as Given;
        const prefix = `paho/${transport}/${version}`;
        expect(given.granted).toEqual([[0], [1], [2]]);
        expect(given.delivered).toEqual(
          [0, 1, 2].flatMap((qos) =>
            Array.from({ length: 20 }, (_, number) => [`${prefix}/qos/${qos}`, String(number), qos, false]),
          ),
        );
        expect(given.retained).toEqual([`${prefix}/kept/one`, 'kept', 1, true]);
        expect([given.new, given.returned]).toEqual([false, true]);
        expect(given.meanwhile).toEqual(['0', '1', '2', '3', '4'].map((text) => [text, 2]));
        expect(given.will).toEqual([`${prefix}/will`, 'gone', 1, false]);
        if (version !== '5') return;
        expect(given.properties).toEqual({
          user: [
            ['a', '1'],
            ['b', '2'],
            ['a', '3'],
          ],
          type: 'text/csv',
          response: 'answers',
          correlation: '0001ff',
          format: 1,
        });
      });
    }
  }
});
