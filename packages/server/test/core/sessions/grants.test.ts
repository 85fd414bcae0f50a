import { EverywireError } from '@everywire/protocol';
import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/core/clock.ts';
import type { Session } from '../../../src/core/seams/session-api.ts';
import type { CloseReason } from '../../../src/core/seams/sink.ts';
import { systemClock } from '../../../src/runtime/clock.ts';
import { TestAccess } from '../test-access.ts';
import { follow, publishText, RecordingSink, startHub } from '../hub-rig.ts';

/** A sink that may be closed by the hub. */
class ClosableSink extends RecordingSink {
  reason: CloseReason | undefined;

  override close(reason?: CloseReason): void {
    this.reason = reason;
  }
}

/** Its wall clock steps by hand; its timers come when it does. */
class HandClock implements Clock {
  stepMs = 0;
  readonly #timers = new Set<() => void>();
  readonly monotonicMs = systemClock.monotonicMs.bind(systemClock);
  readonly turn = systemClock.turn.bind(systemClock);
  nowMs(): number {
    return systemClock.nowMs() + this.stepMs;
  }
  after(_delayMs: number, run: () => void): { cancel(): void } {
    const once = (): void => {
      this.#timers.delete(once);
      run();
    };
    this.#timers.add(once);
    return { cancel: () => this.#timers.delete(once) };
  }
  ring(): void {
    for (const run of [...this.#timers]) run();
  }
}

async function start() {
  const clock = new HandClock();
  const access = new TestAccess(() => clock.nowMs());
  const hub = await startHub({ access, clock });
  const open = async (token: string) => {
    const sink = new ClosableSink();
    const identity = await hub.authenticate({ token, address: undefined });
    return { sink, session: hub.open(identity, { transport: 'test' }, sink) };
  };
  return { clock, access, hub, open };
}

async function refuses(session: Session, code: string): Promise<void> {
  await expect(publishText(session, 'a', 'late')).rejects.toMatchObject({ code });
  await expect(
    session.publishAll([{ channel: 'a', draft: { payload: Buffer.alloc(0) } }]),
  ).rejects.toMatchObject({ code });
  await expect(follow(session, 'a', {})).rejects.toMatchObject({ code });
  await expect(session.read('a', undefined, 1)).rejects.toMatchObject({ code });
  await expect(session.retained('a')).rejects.toMatchObject({ code });
  await expect(session.channels('a', undefined, 1)).rejects.toMatchObject({ code });
  await expect(session.drop('a')).rejects.toMatchObject({ code });
  expect(() => session.checkPublish('a', { payload: Buffer.alloc(0) })).toThrow(EverywireError);
}

describe('a session with a token', () => {
  it('ends when the token does, and refuses everything from that moment on', async () => {
    const { clock, access, hub, open } = await start();
    access.expiresAtMs = clock.nowMs() + 60_000;
    const { sink, session } = await open('ann:**');
    const other = await open('bob:**');
    await other.session.refresh('bob:**');
    await follow(session, '**', {});
    clock.ring();
    expect(sink.reason).toBeUndefined();
    clock.stepMs = 60_001;
    await refuses(session, 'unauthorized');
    clock.ring();
    expect(sink.reason?.error.code).toBe('unauthorized');
    expect(hub.figures.subscriptions).toBe(0);
    await refuses(session, 'unauthorized');
    session.end();
    expect(hub.figures.sessions.get('test')).toBe(0);
  });

  it('continues with a new token of the same subject', async () => {
    const { clock, access, open } = await start();
    access.expiresAtMs = clock.nowMs() + 60_000;
    const { sink, session } = await open('ann:**');
    await follow(session, '**', {});
    access.expiresAtMs = clock.nowMs() + 600_000;
    await session.refresh('ann:**');
    clock.stepMs = 60_001;
    clock.ring();
    expect(sink.reason).toBeUndefined();
    await publishText(session, 'a', 'on');
    expect(await sink.received(1)).toEqual(['on']);
  });

  it('takes no token of another subject, and keeps its own when the new one is refused', async () => {
    const { open } = await start();
    const { session } = await open('ann:**');
    await expect(session.refresh('bob:**')).rejects.toMatchObject({ code: 'forbidden' });
    await expect(session.refresh('')).rejects.toMatchObject({ code: 'unauthorized' });
    await follow(session, '**', {});
  });

  it('loses the subscriptions that its new token does not allow, and no others', async () => {
    const { open } = await start();
    const { sink, session } = await open('ann:a,b,x/*');
    const lost = await follow(session, 'a', {});
    await follow(session, 'b', {});
    await follow(session, 'x/*', {});
    await session.refresh('ann:b,x/*,!x/secret');
    expect(sink.notices).toMatchObject([{ kind: 'ended', subscription: lost, error: { code: 'forbidden' } }]);
    for (const channel of ['a', 'x/secret', 'b', 'x/open']) await publishText(session, channel, channel);
    expect((await sink.received(2)).toSorted()).toEqual(['b', 'x/open']);
    await session.refresh('ann:b,x/*');
    await publishText(session, 'x/secret', 'told now');
    expect(await sink.received(3)).toContain('told now');
  });

  it('ends at once when it is revoked, and no other does', async () => {
    const { access, open } = await start();
    const [ann, bob] = [await open('ann:**'), await open('bob:**')];
    access.revoke('ann');
    expect(ann.sink.reason?.error.code).toBe('unauthorized');
    await refuses(ann.session, 'unauthorized');
    expect(bob.sink.reason).toBeUndefined();
    await publishText(bob.session, 'a', 'still here');
  });

  it('that was revoked between its handshake and its beginning ends at once', async () => {
    const { access, clock, hub } = await start();
    const identity = await hub.authenticate({ token: 'ann:**', address: undefined });
    access.revoke('ann');
    const sink = new ClosableSink();
    const session = hub.open(identity, { transport: 'test' }, sink);
    // Not before the transport has been given its session; but nothing is done for it any more.
    expect(sink.reason).toBeUndefined();
    await refuses(session, 'unauthorized');
    expect(hub.figures.published).toBe(0);
    await new Promise<void>((resolve) => clock.turn(resolve));
    expect(sink.reason?.error.code).toBe('unauthorized');
    await refuses(session, 'unauthorized');
  });

  it('ends although the transport of another one that ends too is broken', async () => {
    const { access, open } = await start();
    const [first, second] = [await open('ann:**'), await open('ann:**')];
    first.sink.close = () => {
      throw new Error('broken');
    };
    access.revoke('ann');
    expect(second.sink.reason?.error.code).toBe('unauthorized');
    await refuses(first.session, 'unauthorized');
  });

  it('of a group leaves it, and another member continues', async () => {
    const { access, open } = await start();
    const [ann, bob] = [await open('ann:jobs'), await open('bob:jobs')];
    await follow(ann.session, '$share/g/jobs', { acknowledge: 'peer' });
    await publishText(bob.session, 'jobs', 'one');
    await ann.sink.received(1);
    await follow(bob.session, '$share/g/jobs', { acknowledge: 'peer' });
    access.revoke('ann');
    expect(await bob.sink.received(1)).toEqual(['one']);
  });

  /** Bob has one message and room for no other, the next one waits for him alone, and the one behind it for that. */
  async function waitingForBob() {
    const { open } = await start();
    const [ann, bob, witness] = [
      await open('ann:jobs/*,!jobs/b'),
      await open('bob:jobs/*'),
      await open('cid:**'),
    ];
    await follow(bob.session, '$share/g/jobs/*', { acknowledge: 'peer', windowMessages: 1 });
    await publishText(bob.session, 'jobs/b', 'one');
    await bob.sink.received(1);
    await follow(ann.session, '$share/g/jobs/*', { acknowledge: 'peer' });
    await follow(witness.session, '**', { from: { since: { kind: 'earliest' } } });
    await publishText(bob.session, 'jobs/b', 'two');
    await publishText(bob.session, 'jobs/a', 'three');
    await witness.sink.received(3);
    return { ann, bob };
  }

  it('of a group takes what waits there as soon as it may', async () => {
    const { ann } = await waitingForBob();
    await ann.session.refresh('ann:jobs/*');
    expect((await ann.sink.received(2)).toSorted()).toEqual(['three', 'two']);
  });

  it('of a group releases what waits for it when it may no longer have it', async () => {
    const { ann, bob } = await waitingForBob();
    await bob.session.refresh('bob:jobs/*,!jobs/b');
    expect(await ann.sink.received(1)).toEqual(['three']);
    expect(bob.sink.texts).toEqual(['one']);
  });
});

it('says that a right was withdrawn, where that happened while the subscription began', async () => {
  const { open } = await start();
  const { session } = await open('ann:**');
  const refreshed = session.refresh('ann:a');
  const subscribing = follow(session, 'b', { from: { since: { kind: 'earliest' } } });
  await expect(subscribing).rejects.toMatchObject({ code: 'forbidden' });
  await refreshed;
});

it('an operator can find out why a client was refused', async () => {
  const lines: string[] = [];
  const write = (fields: object, text: string): void => void lines.push(`${text} ${JSON.stringify(fields)}`);
  const access = new TestAccess(() => 0);
  const hub = await startHub({ access, log: { debug: write, info: write, warn: write, error: write } });
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const login = hub.authenticate({ token: '', address: '192.0.2.1' });
    await expect(login).rejects.toMatchObject({ code: 'unauthorized' });
  }
  // Each at debug, and one at the less detailed levels.
  expect(lines.filter((line) => line.startsWith('a login was refused'))).toHaveLength(4);
  expect(lines[0]).toContain('"address":"192.0.2.1"');
  const identity = await hub.authenticate({ token: 'ann:a', address: undefined });
  const session = hub.open(identity, { transport: 'test' }, new ClosableSink());
  await expect(follow(session, 'b', {})).rejects.toMatchObject({ code: 'forbidden' });
  await expect(publishText(session, '#', 'x')).rejects.toMatchObject({ code: 'bad_name' });
  expect(lines.slice(-2)).toEqual([
    expect.stringMatching(/refused.*"subject":"ann","subscribe":"b","code":"forbidden"/),
    expect.stringMatching(/refused.*"publish":"#","code":"bad_name"/),
  ]);
});
