import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MqttAcks, mqttPublish } from '../../bench/generator/mqtt.ts';

const pingresp = Buffer.from([0xd0, 0]);

function puback(packetId: number): readonly number[] {
  return [0x40, 2, packetId >> 8, packetId & 0xff];
}

/** Every packet is a PUBLISH with its packet id, one without, or a PINGRESP. */
const packets = fc.array(
  fc.record({
    // Names without wildcards, which no broker publishes to.
    topic: fc.string({ minLength: 1, maxLength: 20 }).map((text) => text.replace(/[+#]/g, '_')),
    // Long enough that lengths take one, two and three bytes.
    payload: fc
      .string({ maxLength: 20 })
      .chain((text) => fc.constantFrom(text, text.repeat(40), text.repeat(2_000))),
    packetId: fc.option(fc.integer({ min: 1, max: 0xffff }), { nil: undefined }),
  }),
  { maxLength: 8 },
);

describe('the acknowledgements of the load generator', () => {
  test('one for each PUBLISH of QoS 1, in order, however the bytes are cut', () => {
    fc.assert(
      fc.property(packets, fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }), (given, cuts) => {
        const stream = Buffer.concat(
          given.flatMap(({ topic, payload, packetId }) => [mqttPublish(topic, payload, packetId), pingresp]),
        );
        const acks = new MqttAcks();
        const answers: Buffer[] = [];
        for (let at = 0, turn = 0; at < stream.length; turn++) {
          const end = at + cuts[turn % cuts.length]!;
          const answer = acks.read(stream.subarray(at, end));
          if (answer !== undefined) answers.push(answer);
          at = end;
        }
        const due = given.flatMap(({ packetId }) => (packetId === undefined ? [] : puback(packetId)));
        expect([...Buffer.concat(answers)]).toEqual(due);
      }),
      { numRuns: 200 },
    );
  });
});
