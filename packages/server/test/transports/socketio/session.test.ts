import { expect, it } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import type { SocketIoHost } from '../../../src/transports/socketio/limits.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import type { IoSocket } from '../../../src/transports/socketio/io-socket.ts';
import { SessionRecords } from '../../../src/transports/socketio/records.ts';
import { IoSession } from '../../../src/transports/socketio/session.ts';
import { deliveriesOf } from '../../../src/transports/socketio/format.ts';
import { createDurableServices } from '../../../src/core/durable/services.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { startHub } from '../../core/hub-rig.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

it('leaves the row unchanged if it ends before its filters were written', async () => {
  const hub = await startHub();
  const rows: string[][] = [];
  const written: (() => void)[] = [];
  const { records: stored } = hub.durable;
  const durable = createDurableServices({
    ...hub.durable,
    records: {
      ...stored,
      write: (writes) => {
        const { follows } = JSON.parse(writes[0]!.value!.toString()) as { readonly follows: string[][] };
        rows.push(follows.map(([, filter]) => filter!));
        return new Promise<void>((resolve) => written.push(resolve));
      },
    },
  });
  const records = new SessionRecords({ durable, limits: defaultLimits, random: createSystemRandom() });
  const host = { hub, limits: defaultLimits, clock: systemClock } as unknown as SocketIoHost;
  const socket = {
    ioNamespace: '/',
    engine: { address: undefined, kind: 'websocket', isOpen: true },
    emit: () => undefined,
    acknowledge: () => undefined,
  } as unknown as IoSocket<IoSession>;
  const parts = { host, records, deliveries: deliveriesOf('/'), channelPrefix: '', drainCode: 1001 };
  const session = new IoSession(parts, socket, { pid: 'pid', sid: 'sid' }, undefined);
  const identity = await hub.authenticate({ token: undefined, address: undefined });
  session.begin(hub.open(identity, { transport: 'socketio' }, session));
  const kept = session.keep();
  await expect.poll(() => written.length).toBe(1);
  written.shift()!();
  await kept;
  rows.length = 0;
  const follow = (filter: string, ackId: number) =>
    session.receive({ name: 'subscribe', items: [JSON.stringify(filter)], attachments: [], ackId });
  const answers = [follow('a', 1), follow('b', 2)];
  await expect.poll(() => rows.length).toBe(1);
  for (let at = 0; at < 5; at += 1) await turn();
  void session.ended('lost');
  written[0]!();
  await Promise.all(answers);
  expect(rows).toHaveLength(1);
  expect(rows[0]).toContain('a');
});
