import assert from 'node:assert/strict';
import { decodeRevocation, encodeRevocation } from '../../../packages/server/src/auth/revocation-record.ts';
import type { Clock } from '../../../packages/server/src/core/clock.ts';
import { KindRows } from '../../../packages/server/src/core/durable/kind-rows.ts';
import type { DurableKind } from '../../../packages/server/src/core/durable/kind.ts';
import { groupKind } from '../../../packages/server/src/core/groups/kind.ts';
import { defaultLimits } from '../../../packages/server/src/config/limits.ts';
import { createDurableServices } from '../../../packages/server/src/core/durable/services.ts';
import { createSystemRandom } from '../../../packages/server/src/runtime/random.ts';
import { createMemoryStore } from '../../../packages/server/src/stores/memory/store.ts';
import { MemoryRecords } from '../../../packages/server/src/stores/memory/records.ts';
import { encodeSession, readWindow, restore } from '../../../packages/server/src/transports/mqtt/rows.ts';
import { sessionKind } from '../../../packages/server/src/transports/mqtt/sessions.ts';
import { SessionState } from '../../../packages/server/src/transports/mqtt/state.ts';
import { SessionRecords } from '../../../packages/server/src/transports/socketio/records.ts';
import { durableKind, Durables } from '../../../packages/server/src/transports/stomp/durables.ts';
import type { Harness } from '../harness.ts';

const nowMs = 1_800_000_000_000;
const quiet = (): void => undefined;
const clock: Clock = {
  nowMs: () => nowMs,
  monotonicMs: () => 0,
  after: () => ({ cancel: quiet }),
  turn: quiet,
};
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
const random = { hex: (bytes: number) => '0'.repeat(2 * bytes) };
const pid = `0jgbyl400${'a'.repeat(24)}`;
const cursor = '1k3f9q2.1a2b.9f3c0d4e5a6b7c8d';

const kinds = ['group', 'session', 'poll', 'durable', 'head', 'window', 'revocation'] as const;
const of = (kind: (typeof kinds)[number], row: object | string | null): Buffer =>
  Buffer.concat([
    Buffer.of(kinds.indexOf(kind)),
    Buffer.from(typeof row === 'string' ? row : JSON.stringify(row)),
  ]);

/**
 * Rows of transports and groups as the store hands them out, which has checked that they are those that were written; the
 * first byte says whose. What an older or newer version wrote differently must not stop the server, or half of a session.
 */
export const harness: Harness = {
  name: 'stored-records',
  inputBytesMax: 500,
  seeds: [
    of('group', {
      version: 1,
      cursor,
      ackedAhead: [cursor],
      deliveredThroughSeq: 7,
      hasMembers: true,
      isKept: false,
    }),
    of('group', {
      durable: 1,
      presence: 'open',
      sinceMs: nowMs,
      keepMs: 1,
      follows: [['', 'a', cursor, [cursor], 7]],
      state: { isKept: true },
    }),
    of('session', {
      atMs: nowMs,
      sid: 's',
      ioNamespace: '/',
      identity: { subject: 'u', isAdmin: false },
      follows: [['a/**', cursor]],
      groups: ['$share/g/a'],
      turnedAt: cursor,
    }),
    of('poll', {
      atMs: nowMs,
      sockets: [
        ['/', pid, cursor],
        ['/chat', pid, null],
      ],
      waiting: ['42["x"]'],
    }),
    of('durable', {
      filter: 'a/**',
      cursor,
      ahead: [cursor],
      through: 9,
      isOpen: true,
      run: '00',
      timeMs: nowMs,
    }),
    of('durable', { filter: 'a/**', cursor }),
    of('durable', {
      durable: 1,
      node: 'n',
      token: 'n.1',
      presence: 'open',
      sinceMs: nowMs,
      keepMs: 1,
      subject: 'u',
      follows: [['', 'a/**', cursor, [cursor], 9]],
      state: null,
    }),
    of('session', { atMs: nowMs, sid: 's', ioNamespace: '/', identity: null, follows: [] }),
    of('head', {
      format: 1,
      clientId: 'c',
      version: 5,
      expirySeconds: 60,
      presence: { kind: 'away', sinceMs: 1 },
      will: { topic: 'w', payload: 'AA==', qos: 1, retain: false, properties: { correlationData: 'AA==' } },
      maybeSentThroughSeq: 3,
      subscriptions: [
        { no: 1, filter: 'a', target: { kind: 'log', filter: 'a', isShared: false }, options: { qos: 1 } },
      ],
    }),
    of('window', {
      format: 1,
      progress: [[1, [cursor, [], 4], [2, 3]]],
      inFlight: [
        [1, 2, 5, 1, 0],
        [2, 2, 6, 1, 1, 'retained', 'a', 9],
      ],
      lastPacketId: 2,
    }),
    of('head', {
      durable: 1,
      node: 'n',
      token: 'n.1',
      presence: 'open',
      sinceMs: nowMs,
      keepMs: 60_000,
      follows: [],
      state: {
        clientId: 'c',
        will: { topic: 'w', payload: 'AA==', qos: 1, retain: false, properties: {} },
        subscriptions: [
          { no: 1, filter: 'a', target: { kind: 'log', filter: 'a', isShared: false }, options: { qos: 1 } },
        ],
      },
    }),
    of('window', {
      durable: 1,
      follows: [['1', 'a', cursor, [], 4]],
      state: { retained: [[1, 2, 3]], inFlight: [[2, 2, 6, 1, 1, 'retained', 'a', 9]], lastPacketId: 2 },
    }),
    of('revocation', { subject: 'u', revokedAtMs: nowMs, untilMs: nowMs }),
    of('revocation', { tokenId: 't', revokedAtMs: nowMs }),
    ...kinds.flatMap((kind) => [
      of(kind, null),
      of(kind, '[]'),
      of(kind, '{"format":2}'),
      of(kind, '{"atMs":'),
    ]),
  ],
  dictionary: [
    'null',
    '[]',
    '{}',
    '"atMs"',
    '"follows"',
    '"__proto__"',
    '"format":1',
    '"durable":1',
    '-1',
    '1e99',
    cursor,
  ],
  run: async (input) => {
    const kind = kinds[(input[0] ?? 0) % kinds.length]!;
    const row = input.subarray(1);
    switch (kind) {
      case 'group':
        return checkDurable(groupKind(defaultLimits), 'workers/a', row);
      case 'revocation': {
        const revocation = decodeRevocation(row);
        if (revocation === undefined) return false;
        const written = encodeRevocation(revocation);
        assert.deepEqual(encodeRevocation(decodeRevocation(written)!), written);
        return true;
      }
      case 'session':
      case 'poll':
        return checkSocketIo(kind, row);
      case 'durable':
        return checkDurable(
          durableKind(defaultLimits),
          Durables.keyOf({ subject: 'u', clientId: 'c' }, 'name'),
          row,
        );
      case 'head':
      case 'window':
        return checkMqtt(kind, row);
    }
  },
};

async function checkSocketIo(kind: 'session' | 'poll', row: Buffer): Promise<boolean> {
  const records = new MemoryRecords();
  const table = kind === 'session' ? 'socketio.sessions' : 'socketio.polls';
  await records.write([{ table, key: pid, value: row }]);
  const { cluster } = createMemoryStore({ clock, random: createSystemRandom(), limits: defaultLimits });
  const durable = createDurableServices({ records, cluster, isShared: false, clock, log, headSeq: () => 0 });
  const sessions = new SessionRecords({ durable, limits: defaultLimits, random });
  let isFound: boolean;
  if (kind === 'session') {
    const record = await sessions.session(pid);
    isFound = record !== undefined;
    if (record !== undefined) {
      assert.ok(
        record.follows.every(([filter, floor]) => typeof filter === 'string' && typeof floor === 'string'),
      );
      assert.ok(typeof record.identity.isAdmin === 'boolean' && typeof record.ioNamespace === 'string');
      assert.ok((record.groups ?? []).every((group) => typeof group === 'string'));
    }
  } else {
    const record = await sessions.poll(pid);
    isFound = record !== undefined;
    if (record !== undefined) {
      assert.ok(record.sockets.every(([name, id]) => typeof name === 'string' && typeof id === 'string'));
      assert.ok(record.waiting.every((packet) => typeof packet === 'string'));
    }
  }
  await sessions.sweep();
  assert.equal(
    (await records.get(table, pid)) !== undefined,
    isFound,
    'a row that no client can come back to is deleted',
  );
  return isFound;
}

async function checkDurable<State>(kind: DurableKind<State>, key: string, row: Buffer): Promise<boolean> {
  const records = new MemoryRecords();
  await records.write([{ table: kind.table, key, value: row }]);
  const rows = new KindRows(kind, records, log);
  const loaded = await rows.load(key, 5).catch((refusal: unknown) => {
    assert.equal(kind.unreadable, 'refuse', String(refusal));
    return undefined;
  });
  assert.equal(rows.unreadable, loaded === undefined ? 1 : 0, 'a row that cannot be read is counted');
  if (loaded === undefined) return false;
  for (const { filter, progress } of loaded.found.subscriptions) {
    const { cursor, acksAboveWatermark, deliveredWatermark } = progress;
    assert.ok(typeof filter === 'string' && typeof cursor === 'string');
    assert.ok(acksAboveWatermark.flat().every((one) => typeof one === 'string'));
    assert.ok(Number.isSafeInteger(deliveredWatermark));
  }
  const written = rows.rowWrite(key, loaded.row, 'token').value!;
  const again = rows.decode(key, written);
  assert.deepEqual(again?.row, loaded.row, 'read and written again it is the same');
  return true;
}

async function checkMqtt(kind: 'head' | 'window', row: Buffer): Promise<boolean> {
  const records = new MemoryRecords();
  const sessions = sessionKind(defaultLimits);
  const { table, windowTable } = sessions;
  const key = 'key';
  const rows = new KindRows(sessions, records, log);
  const whole = { token: 'n.1', sinceMs: nowMs, follows: [], state: { clientId: 'c', subscriptions: [] } };
  const head =
    kind === 'head' ? row : Buffer.from(JSON.stringify({ durable: 1, presence: 'away', ...whole }));
  await records.write([
    { table, key, value: head },
    ...(kind === 'window' ? [{ table: windowTable!, key, value: row }] : []),
  ]);
  const loaded = await rows.load(key, 5);
  if (kind === 'window') assert.ok(loaded !== undefined, 'a session exists for any state of its window');
  const isRead = kind === 'head' ? loaded !== undefined : loaded?.found.window !== undefined;
  assert.equal(rows.unreadable, isRead ? 0 : 1, 'a row that cannot be read is counted');
  if (loaded === undefined || !isRead) return false;
  const { found } = loaded;
  const state = new SessionState();
  restore(state, found);
  if (kind === 'window') {
    const again = readWindow(JSON.parse(JSON.stringify(found.window)));
    assert.deepEqual(again, found.window, 'read and written again it is the same');
    return true;
  }
  const written = rows.rowWrite(key, { ...loaded.row, state: encodeSession(found.state) }, 'token').value!;
  assert.deepEqual(rows.decode(key, written)?.state, found.state, 'read and written again it is the same');
  return true;
}
