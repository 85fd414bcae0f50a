import { afterEach, expect, it } from 'vitest';
import { dataOf, Poller } from '../../../../../test/interop/socketio-poller.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import { KindRows } from '../../../src/core/durable/kind-rows.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { createMemoryStore } from '../../../src/stores/memory/store.ts';
import { pollKind, recordOf, sessionKind } from '../../../src/transports/socketio/records.ts';
import { IoRig } from './rig.ts';

const pid = '0mx41oiogcAGpmtTEqwEBQgyQdz0cF8D6';
const sid = 'NxowTb_TNY8kGsGwN-vP';
const floor = '119etoi.2.ec1f5cb7125d6ded';
const quiet = () => undefined;
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };

/** As version 0.1 wrote them, letter by letter. */
const sessionRow =
  '{"sid":"Gy5PxDAjs9Lpy5siV3Dc","ioNamespace":"/","identity":{"subject":"ann","isAdmin":false,"claims":' +
  '{"subscribe":["**"],"publish":["**"],"expiresAtMs":1000000000000000,"issuedAtMs":1000000000000,' +
  '"tokenId":"t1"}},"follows":[["a","119etoi.2.ec1f5cb7125d6ded"]],"groups":["$share/g/b"],"atMs":1796090115503}';
const openSessionRow =
  '{"sid":"yUUavGt0-O5DzXYCQmDX","ioNamespace":"/","identity":{"isAdmin":true},"follows":' +
  '[["a","1a98pu1.2.2edce17cf3f36131"]],"groups":["$share/g/b"],"atMs":1796090115446}';
const pollRow =
  '{"sockets":[["/","0mx41oiogcAGpmtTEqwEBQgyQdz0cF8D6","119etoi.4.c1ecad92861f638c"]],"waiting":' +
  '["438[{\\"ok\\":true}]"],"atMs":1796090115513}';

let rig: IoRig | undefined;
afterEach(async () => {
  await rig?.stop();
  rig = undefined;
});

const sessions = createMemoryStore({
  clock: systemClock,
  random: createSystemRandom(),
  limits: defaultLimits,
}).records;

it('reads a session of version 0.1', () => {
  const rows = new KindRows(sessionKind(defaultLimits), sessions, log);
  const { row, state } = rows.decode(pid, Buffer.from(sessionRow))!;
  const { sinceMs, presence, subject, rights, subscriptions } = row;
  expect(sinceMs).toBe(1796090115503);
  const record = recordOf({
    ...{ presence, sinceMs, subject, rights, subscriptions, state },
    ...{ window: undefined, parts: new Map() },
  });
  expect(record).toEqual({
    sid: 'Gy5PxDAjs9Lpy5siV3Dc',
    ioNamespace: '/',
    identity: {
      subject: 'ann',
      isAdmin: false,
      claims: {
        subscribe: ['**'],
        publish: ['**'],
        expiresAtMs: 1e15,
        issuedAtMs: 1e12,
        tokenId: 't1',
      },
    },
    follows: [['a', floor]],
    groups: ['$share/g/b'],
  });
});

it('reads a session that polls of version 0.1', () => {
  const rows = new KindRows(pollKind(defaultLimits), sessions, log);
  expect(rows.decode(sid, Buffer.from(pollRow))).toMatchObject({
    row: { sinceMs: 1796090115513 },
    state: { sockets: [['/', pid, '119etoi.4.c1ecad92861f638c']], waiting: ['438[{"ok":true}]'] },
  });
});

it('continues to poll from the rows of version 0.1', async () => {
  const store = createMemoryStore({
    clock: systemClock,
    random: createSystemRandom(),
    limits: defaultLimits,
  });
  rig = await IoRig.start({ store });
  const other = await Poller.connect(rig.url);
  const cursors: string[] = [];
  for (const text of ['one', 'two', 'three']) {
    await other.emit('publish', 'a', text);
    const [packet] = await other.poll();
    cursors.push(/"cursor":"([^"]+)"/.exec(packet!)![1]!);
  }
  const changed = (row: string, fields: object) =>
    Buffer.from(JSON.stringify({ ...(JSON.parse(row) as object), atMs: Date.now(), ...fields }));
  await store.records.write([
    {
      table: 'socketio.sessions',
      key: pid,
      value: changed(openSessionRow, { follows: [['a', cursors[0]]] }),
    },
    { table: 'socketio.polls', key: sid, value: changed(pollRow, { sockets: [['/', pid, cursors[1]]] }) },
  ]);
  const poller = new Poller(rig.url);
  poller.sid = sid;
  const heard = [...(await poller.poll())];
  expect(heard[0]).toBe('438[{"ok":true}]');
  if (dataOf(heard).length === 0) heard.push(...(await poller.poll()));
  expect(dataOf(heard)).toEqual(['three']);
  expect(rig.errors).toEqual([]);
});
