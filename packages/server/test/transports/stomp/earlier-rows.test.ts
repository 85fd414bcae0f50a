import { afterEach, expect, it } from 'vitest';
import { StompClient, type ClientFrame } from '../../../../../test/clients/stomp/client.ts';
import type { Session } from '../../../src/core/seams/session-api.ts';
import { createStompTransport } from '../../../src/transports/stomp/transport.ts';
import { openSession, publishText, startHub } from '../../core/hub-rig.ts';
import { startOnTcp, type TcpRig } from '../tcp-rig.ts';

const table = 'stomp-subscriptions';
/** Of the client id `client/ü`, whose subscription is called `name`, without a subject. */
const key = '/client%2F%C3%BC/name';

let rig: TcpRig | undefined;
const clients: StompClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.cut();
  await rig?.stop();
  rig = undefined;
});

interface Rig {
  readonly session: Session;
  readonly subscribe: () => Promise<StompClient>;
  readonly row: () => Promise<string>;
}

/**
 * A server on a store in which version 0.1 left a durable subscription after four messages, of which the first and the
 * third were acknowledged. Two more came afterwards.
 */
async function startOn(changed: object): Promise<Rig> {
  const hub = await startHub();
  const session = await openSession(hub);
  const cursors: string[] = [];
  for (const text of ['1', '2', '3', '4']) cursors.push((await publishText(session, 'topic/a', text)).cursor);
  const row = {
    filter: 'topic/a',
    cursor: cursors[0],
    ahead: [cursors[2]],
    through: hub.head.seq,
    isOpen: false,
    run: '967dde7fa73e8298',
    timeMs: Date.now(),
    ...changed,
  };
  await hub.store.records.write([{ table, key, value: Buffer.from(JSON.stringify(row)) }]);
  for (const text of ['5', '6']) await publishText(session, 'topic/a', text);
  rig = await startOnTcp((front, options) => createStompTransport(front, options), hub);
  const { url } = rig;
  return {
    session,
    subscribe: async () => {
      const client = await StompClient.open(url);
      clients.push(client);
      await client.connect({ 'accept-version': '1.2', 'client-id': 'client/ü' });
      const headers = { id: 'name', destination: '/topic/a', durable: 'true', ack: 'client-individual' };
      expect((await client.ask('SUBSCRIBE', headers)).command).toBe('RECEIPT');
      return client;
    },
    row: async () => (await hub.store.records.get(table, key))!.toString(),
  };
}

const summary = ({ body, headers }: ClientFrame): string =>
  `${body.toString()}${headers['redelivered'] === 'true' ? ' again' : ''}`;

it.each<[string, object, readonly string[]]>([
  ['left resumes exactly', {}, ['2 again', '4 again', '5', '6']],
  // Until the server starts, anything may have been delivered.
  ['open when it was killed resumes marked', { isOpen: true }, ['2 again', '4 again', '5 again', '6 again']],
])('a durable subscription that version 0.1 %s', async (_how, changed, expected) => {
  const { session, subscribe, row } = await startOn(changed);
  const client = await subscribe();
  await publishText(session, 'topic/a', '7');
  expect((await client.take(5)).map(summary)).toEqual([...expected, '7']);
  const follows: unknown = [['', 'topic/a', expect.any(String), [expect.any(String)], expect.any(Number)]];
  expect(JSON.parse(await row())).toMatchObject({ durable: 1, presence: 'open', follows });
});

it.each<[string, object]>([
  ['is too old', { timeMs: Date.now() - 31 * 24 * 3_600_000 }],
  ['cannot be read', { ahead: ['nothing'] }],
])('a row of version 0.1 that %s begins anew', async (_how, changed) => {
  const { session, subscribe } = await startOn(changed);
  const client = await subscribe();
  await publishText(session, 'topic/a', '7');
  expect((await client.take(1)).map(summary)).toEqual(['7']);
});
