import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../../test/support/server.ts';
import { Link } from '../src/link.ts';
import { LogReader } from '../src/log-reader.ts';
import { ChannelNames, hashOf } from '../src/names.ts';
import { checkOptions } from '../src/options.ts';
import { Sessions, type SessionRecord } from '../src/sessions.ts';

const signal = AbortSignal.timeout(60_000);
const patience = { timeout: 10_000, interval: 10 };

describe('sessions in the log', () => {
  let server: TestServer;
  let link: Link;
  let sessions: Sessions[];
  let failures: string[];
  let prefixes = 0;
  let prefix: string;

  beforeAll(async () => {
    server = await startTestServer({ store: 'memory:' });
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    prefix = `app-${(prefixes += 1)}`;
    sessions = [];
    failures = [];
    const options = checkOptions({ url: server.url, prefix });
    link = new Link(options, `${prefix}/**`, { message: () => undefined, ready: () => undefined });
    link.open();
  });
  afterEach(async () => {
    for (const one of sessions) one.close();
    await link.close();
    expect(failures).toEqual([]);
  });

  function make(disconnectedMsMax: number): Sessions {
    const options = checkOptions({ url: server.url, prefix });
    const made = new Sessions({
      names: new ChannelNames(prefix),
      link,
      reader: new LogReader(options),
      namespace: '_',
      disconnectedMsMax,
      onFailed: (detail) => failures.push(detail),
    });
    sessions.push(made);
    return made;
  }
  function record(sid: string, changes: Partial<SessionRecord> = {}): SessionRecord {
    return { sid, rooms: [[sid, null]], data: { a: 1 }, owner: 'here', ...changes };
  }
  async function kept(): Promise<readonly string[]> {
    const list = await fetch(`${server.url}/channels?filter=${prefix}-sessions/**`);
    const { channels } = (await list.json()) as {
      readonly channels: readonly { readonly channel: string }[];
    };
    return channels.map(({ channel }) => channel.split('/').at(-1)!).toSorted();
  }

  it('are found by every process, as they were saved last', async () => {
    const hash = hashOf('pid');
    make(60_000).save(hash, record('first'));
    make(60_000).save(hash, record('second', { rooms: [['r', 'cursor']] }));
    const other = make(60_000);
    await expect
      .poll(() => other.find(hash, signal), patience)
      .toEqual(record('second', { rooms: [['r', 'cursor']] }));
    expect(await other.find(hashOf('another'), signal)).toBeUndefined();
  });

  it('are not found when they were left too long ago', async () => {
    const saver = make(60_000);
    saver.save('a', record('a', { disconnectedAtMs: Date.now() - 2_000 }));
    await expect.poll(kept, patience).toEqual(['a']);
    expect(await make(1_000).find('a', signal)).toBeUndefined();
    expect(await make(60_000).find('a', signal)).toMatchObject({ sid: 'a' });
  });

  it('go when they are over, also while they are still being saved', async () => {
    const own = make(60_000);
    own.save('a', record('a'));
    own.save('b', record('b'));
    await expect.poll(kept, patience).toEqual(['a', 'b']);
    own.save('a', record('a'));
    own.remove('a');
    await expect.poll(kept, patience).toEqual(['b']);
  });

  it('expire some time after the client left, unless they continue in another process', async () => {
    const own = make(50);
    own.save('left', record('left', { disconnectedAtMs: Date.now() }));
    own.save('back', record('back', { disconnectedAtMs: Date.now() }));
    own.release('back');
    await expect.poll(kept, patience).toEqual(['back']);
  });

  it('of processes that are gone are swept away in two steps', async () => {
    const own = make(60_000);
    own.save('alive', record('alive', { owner: 'alive' }));
    own.save('killed', record('killed', { owner: 'gone' }));
    own.save('long ago', record('long ago', { owner: 'gone', disconnectedAtMs: Date.now() - 120_000 }));
    await expect.poll(kept, patience).toEqual(['alive', 'killed', 'long ago']);
    const isAlive = (owner: string): boolean => owner === 'alive';
    const sweeper = make(60_000);
    await sweeper.sweep(isAlive);
    expect(await kept()).toEqual(['alive', 'killed']);
    // It may still come back; from now on its time runs.
    await expect
      .poll(() => sweeper.find('killed', signal), patience)
      .toMatchObject({ owner: 'gone', disconnectedAtMs: expect.any(Number) as unknown });
    const later = make(1);
    await expect
      .poll(async () => {
        await later.sweep(isAlive);
        return kept();
      }, patience)
      .toEqual(['alive']);
  });

  it('that are none, since others may publish there too, are not found', async () => {
    const channel = `${server.url}/channels/${prefix}-sessions/_/x`;
    const bodies = ['null', '7', '{}', '{"sid":"s","owner":"o","rooms":[7]}', '[]', 'no json'];
    for (const body of bodies) {
      const type = body === 'no json' ? 'text/plain' : 'application/json';
      await fetch(channel, { method: 'POST', headers: { 'Content-Type': type }, body });
      expect(await make(60_000).find('x', signal)).toBeUndefined();
    }
  });
});
