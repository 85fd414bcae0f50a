import type { WireName } from '../generator/handshakes.ts';
import type { Row, Scenario } from '../run.ts';
import { everywire } from '../targets/everywire.ts';
import { fanOutOver } from './fanout.ts';

const wires: readonly WireName[] = ['websocket', 'sse', 'mqtt'];
const ratePerSecond = 1_000;
/** One after the other, so that both meet the same noise of the machine. */
const rounds = 3;

export const tokens: Scenario = {
  name: 'tokens',
  title: `Fan-out to 1,000 subscribers at ${ratePerSecond} messages/s, without authentication and with: in turn, ${rounds} times.`,
  run: async function* (bench): AsyncGenerator<Row> {
    const targets = [everywire('lmdb'), everywire('lmdb', { hasTokens: true })];
    for (const wire of wires.filter((name) => bench.wires.length === 0 || bench.wires.includes(name))) {
      for (let round = 0; round < rounds; round += 1) {
        for (const target of targets) yield* fanOutOver(bench, target, wire, [ratePerSecond]);
      }
    }
  },
};
