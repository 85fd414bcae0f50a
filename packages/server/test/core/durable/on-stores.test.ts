import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { defaultLimits } from '../../../src/config/limits.ts';
import { StaleWrite } from '../../../src/core/cluster/stale-write.ts';
import { DurableSessions } from '../../../src/core/durable/durable-sessions.ts';
import type { Commit } from '../../../src/core/durable/kind.ts';
import type { Hub } from '../../../src/core/hub.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { createStore } from '../../../src/stores/index.ts';
import { openSession, publishText, startHub } from '../hub-rig.ts';
import { begin, makeKind, placeOf, table, type TestState } from './rig.ts';

const quiet = (): void => undefined;
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
const hubs: Hub[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const hub of hubs.splice(0)) await hub.stop();
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

async function open(url: string): Promise<Hub> {
  const parts = { clock: systemClock, random: createSystemRandom(), limits: defaultLimits, log };
  const hub = await startHub({ store: await createStore(url, parts) });
  hubs.push(hub);
  return hub;
}

async function sessionsOf(hub: Hub): Promise<DurableSessions<TestState, number>> {
  const sessions = new DurableSessions(makeKind(), hub.durable);
  await sessions.start();
  return sessions;
}

/** Publishes a message with the rows of a session, in one transaction. */
async function publishing(hub: Hub, text: string): Promise<Commit> {
  const publisher = await openSession(hub);
  return async ({ records, fences }) => {
    await publisher.publish('a', { payload: Buffer.from(text) }, { records, fences });
  };
}

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'everywire-durable-'));
  folders.push(folder);
  return folder;
}

describe.each([
  ['memory', () => Promise.resolve('memory:')],
  ['lmdb', async () => `lmdb:${await newFolder()}`],
])('on the store %s', (_name, urlOf) => {
  it('a message and the rows of its session are stored together, or neither', async () => {
    const hub = await open(await urlOf());
    const { holder } = await begin(await sessionsOf(hub), 'k');
    holder.note = 'first';
    await holder.session.save('all', await publishing(hub, '1'));
    const late = await publishing(hub, 'late');
    const stale = { records: [{ table, key: 'k', value: undefined }], fences: holder.session.fences };
    // Another owner, as another node would be.
    const takers = await sessionsOf(hub);
    expect((await takers.list(undefined, 1)).sessions[0]!.row.presence).toBe('away');
    const taker = await begin(takers, 'k');
    expect(taker.found).toMatchObject({ state: { note: 'first' } });
    await expect(late(stale)).rejects.toBeInstanceOf(StaleWrite);
    holder.note = 'late';
    await expect(holder.session.save('all', late)).rejects.toMatchObject({ code: 'session_taken' });
    expect(holder.losses).toEqual(['stale']);
    const page = await (await openSession(hub)).read('a', { since: { kind: 'earliest' } }, 9);
    expect(page.messages.map(({ payload }) => payload.toString())).toEqual(['1']);
    expect((await hub.store.records.get(table, 'k'))!.toString()).toContain('"first"');
  });

  it('what was left within the last moment is saved when the server stops', async () => {
    const hub = await open(await urlOf());
    const sessions = await sessionsOf(hub);
    const { holder } = await begin(sessions, 'k');
    holder.note = 'last';
    await holder.session.leave({ soon: true });
    await sessions.stop();
    expect((await hub.store.records.get(table, 'k'))!.toString()).toContain('"last"');
  });
});

it('on lmdb, a server that was killed finds its sessions, marked', async () => {
  const url = `lmdb:${await newFolder()}`;
  const first = await open(url);
  const { holder } = await begin(await sessionsOf(first), 'k');
  holder.note = 'open';
  await holder.session.save();
  await publishText(await openSession(first), 'a', '1');
  // No client leaves.
  await hubs.pop()!.store.close();
  const second = await open(url);
  const { found } = await begin(await sessionsOf(second), 'k');
  expect(found).toMatchObject({ state: { note: 'open' } });
  expect(placeOf(found).deliveredWatermark).toBe(1);
});
