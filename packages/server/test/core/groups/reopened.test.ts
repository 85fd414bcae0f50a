import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Hub } from '../../../src/core/hub.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import type { SubscribeOptions, Subscription } from '../../../src/core/seams/subscription-api.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { createSystemRandom } from '../../../src/runtime/random.ts';
import { createLmdbStore } from '../../../src/stores/lmdb/store.ts';
import { follow, openSession, publishText, RecordingSink, startHub } from '../hub-rig.ts';

const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const earliest = { since: { kind: 'earliest' } } as const;

/** On a file, so that every opening is another epoch of the log. */
describe('where a subscription stood, after the store was opened again', () => {
  let folder: string;
  let hub: Hub;
  const open = async (): Promise<void> => {
    const store = createLmdbStore({
      path: join(folder, 'data'),
      clock: systemClock,
      random: createSystemRandom(),
      limits: defaultLimits,
      log,
    });
    hub = await startHub({ store });
  };
  const publish = async (...texts: readonly string[]): Promise<void> => {
    const session = await openSession(hub);
    for (const text of texts) await publishText(session, 'jobs', text);
  };
  const read = async (filter: string, options: SubscribeOptions, count: number) => {
    const sink = new RecordingSink();
    const got: string[] = [];
    sink.onDeliver = (batch, { redeliveredThroughSeq }) => {
      for (const { seq, payload } of batch.messages)
        got.push(`${payload.toString()}${seq <= redeliveredThroughSeq ? '!' : ''}`);
    };
    const session = await openSession(hub, sink);
    const subscription = await follow(session, filter, { acknowledge: 'peer', ...options });
    await sink.received(count);
    return { sink, got, session, subscription };
  };
  const ack = ({ sink, subscription }: { sink: RecordingSink; subscription: Subscription }, text: string) => {
    const messages = sink.batches.flatMap((batch) => batch.messages);
    subscription.ack(messages.find(({ payload }) => payload.toString() === text)!.seq, true);
  };

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'everywire-group-'));
    await open();
  });
  afterEach(async () => {
    await hub.stop();
    rmSync(folder, { recursive: true });
  });

  it('a group resumes there', async () => {
    await publish('1', '2', '3', '4');
    const member = await read('$share/g/*', { from: earliest, keepGroup: true }, 4);
    ack(member, '3');
    ack(member, '1');
    member.session.end();
    await hub.stop();
    await open();
    await publish('5');
    expect((await read('$share/g/*', {}, 3)).got).toEqual(['2!', '4!', '5']);
  });

  it('a progress resumes there', async () => {
    await publish('1', '2', '3', '4');
    const before = await read('jobs', { from: earliest }, 4);
    ack(before, '3');
    ack(before, '1');
    const { progress } = before.subscription;
    await hub.stop();
    await open();
    await publish('5');
    const after = await read('jobs', { progress }, 3);
    expect(after.got).toEqual(['2!', '4!', '5']);
    expect(after.subscription.startGaps).toEqual([]);
  });

  it('what was acknowledged in a tail that is lost hides nothing that was written in its place', async () => {
    await publish('1', '2');
    await hub.stop();
    cpSync(join(folder, 'data'), join(folder, 'copy'), { recursive: true });
    await open();
    await publish('3', '4');
    const before = await read('jobs', { from: earliest }, 4);
    ack(before, '1');
    ack(before, '3');
    ack(before, '4');
    const { progress } = before.subscription;
    await hub.stop();
    rmSync(join(folder, 'data'), { recursive: true });
    cpSync(join(folder, 'copy'), join(folder, 'data'), { recursive: true });
    await open();
    await publish('other 3', 'other 4', '5');
    const after = await read('jobs', { progress }, 4);
    expect(after.got.map((text) => text.replace('!', ''))).toEqual(['2', 'other 3', 'other 4', '5']);
    ack(after, '2');
    expect(after.subscription.progress.acksAboveWatermark).toEqual([]);
  });
});
