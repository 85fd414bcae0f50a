import { describe, expect, it } from 'vitest';
import type { Log } from '../../../src/core/seams/log.ts';
import type { Notice } from '../../../src/core/seams/sink.ts';
import { openSession, publishText, RecordingSink, startHub } from '../hub-rig.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));
const goaways = ({ notices }: RecordingSink): readonly Notice[] =>
  notices.filter(({ kind }) => kind === 'goaway');

describe('a hub that drains', () => {
  it('sends goaway to every open session once, each with another time to come back', async () => {
    let count = 0;
    const random = { hex: () => (count++ % 2 === 0 ? '0000' : 'ffff') };
    const hub = await startHub({ random });
    const [first, second, gone] = [new RecordingSink(), new RecordingSink(), new RecordingSink()];
    await openSession(hub, first);
    await openSession(hub, second);
    (await openSession(hub, gone)).end();
    count = 0;
    hub.beginDrain();
    hub.beginDrain();
    expect(goaways(first)).toEqual([{ kind: 'goaway', retryAfterMs: 2_000 }]);
    expect(goaways(second)).toEqual([{ kind: 'goaway', retryAfterMs: 4_000 }]);
    expect(goaways(gone)).toEqual([]);
    await hub.stop();
  });

  it('tells a session that is opened meanwhile after its transport has it', async () => {
    const hub = await startHub();
    hub.beginDrain();
    const sink = new RecordingSink();
    await openSession(hub, sink);
    expect(goaways(sink)).toEqual([]);
    await turn();
    expect(goaways(sink)).toHaveLength(1);
    await hub.stop();
  });

  it('stores what was asked before, and tells the others when one transport throws', async () => {
    const faults: string[] = [];
    const quiet = (): void => undefined;
    const log: Log = { debug: quiet, info: quiet, warn: quiet, error: (_fields, text) => faults.push(text) };
    const hub = await startHub({ log });
    const broken = new RecordingSink();
    broken.notify = () => {
      throw new Error('a fault of this transport');
    };
    const sound = new RecordingSink();
    const session = await openSession(hub, broken);
    await openSession(hub, sound);
    const published = publishText(session, 'demo', 'under way');
    hub.beginDrain();
    expect(goaways(sound)).toHaveLength(1);
    expect(faults).toEqual(['a connection could not be asked to leave']);
    expect((await published).offset).toBe(1);
    await hub.stop();
  });
});
