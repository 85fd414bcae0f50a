import { describe, expect, it } from 'vitest';
import { openAccess, type Access, type Identity } from '../../../src/core/sessions/access.ts';
import { defaultLimits } from '../../../src/config/limits.ts';
import { createNamespaces, defaultRules } from '../../../src/core/log/namespaces.ts';
import { follow, openSession, publishText, RecordingSink, startHub } from '../hub-rig.ts';

const claims = { subscribe: ['**'], publish: ['**'], expiresAtMs: Number.MAX_SAFE_INTEGER };
const person = (subject: string): Identity => ({ subject, isAdmin: false, claims });
const limits = {
  ...defaultLimits,
  publishesPerSecondMax: 1,
  publishesBurstMax: 3,
  subjectPublishesPerSecondMax: 4,
  operationsPerSecondMax: 1,
  operationsBurstMax: 2,
};

async function start() {
  const access: Access = {
    ...openAccess,
    authenticate: ({ token }) => Promise.resolve(person(token!)),
  };
  const hub = await startHub({ access, limits });
  const open = (subject: string, counted = {}) =>
    hub.open(person(subject), { transport: 'test', counted }, new RecordingSink());
  return { hub, open };
}

describe('rates', () => {
  it('bound what one connection publishes, and tell when to come back', async () => {
    const { hub, open } = await start();
    const session = open('ann');
    for (let count = 0; count < 3; count += 1) await publishText(session, 'a', 'yes');
    const later: unknown = expect.closeTo(1_000, -3);
    await expect(publishText(session, 'a', 'no')).rejects.toMatchObject({
      code: 'rate_limited',
      retryAfterMs: later,
    });
    await expect(
      session.publishAll([{ channel: 'a', draft: { payload: Buffer.alloc(0) } }]),
    ).rejects.toMatchObject({ code: 'rate_limited' });
    await publishText(open('ann'), 'a', 'another connection');
    expect(hub.figures).toMatchObject({ published: 4, refused: 2 });
  });

  it('name the limit, its setting and the rate that was seen', async () => {
    const { open } = await start();
    const session = open('ann');
    const draft = { payload: Buffer.alloc(0) };
    await session.publishAll(Array.from({ length: 7 }, () => ({ channel: 'a', draft })));
    await expect(publishText(session, 'a', 'no')).rejects.toThrow(
      'Rate limit exceeded: this connection publishes about 8 messages per second, and limits.publishesPerSecondMax is 1.',
    );
    const reader = open('ann');
    for (let count = 0; count < 2; count += 1) await reader.read('a', undefined, 1);
    await expect(reader.read('a', undefined, 1)).rejects.toThrow(
      'this connection subscribes, reads or lists about 3 times per second, and limits.operationsPerSecondMax is 1.',
    );
    await publishText(open('ann'), 'a', 'the eighth of the subject');
    await expect(publishText(open('ann'), 'a', 'no')).rejects.toThrow(
      'the connections of this subject publish about 9 messages per second together, and limits.subjectPublishesPerSecondMax is 4.',
    );
  });

  it('fit a backend that publishes a thousand a second, and several of them', () => {
    const { publishesPerSecondMax, publishesBurstMax, subjectPublishesPerSecondMax } = defaultLimits;
    expect([publishesPerSecondMax, publishesBurstMax, subjectPublishesPerSecondMax]).toEqual([
      1_000, 2_000, 5_000,
    ]);
  });

  it('count sessions of one connection together', async () => {
    const { open } = await start();
    const counted = {};
    for (let count = 0; count < 3; count += 1) await publishText(open('ann', counted), 'a', 'yes');
    await expect(publishText(open('ann', counted), 'a', 'no')).rejects.toMatchObject({
      code: 'rate_limited',
    });
  });

  it('bound what one subject publishes over all its connections', async () => {
    const { open } = await start();
    for (let count = 0; count < 8; count += 1) await publishText(open('ann'), 'a', 'yes');
    await expect(publishText(open('ann'), 'a', 'no')).rejects.toMatchObject({ code: 'rate_limited' });
    await publishText(open('bob'), 'a', 'somebody else');
  });

  it('bound subscribing and reading', async () => {
    const { open } = await start();
    const session = open('ann');
    await follow(session, 'a', {});
    await session.read('a', undefined, 1);
    await expect(follow(session, 'b', {})).rejects.toMatchObject({ code: 'rate_limited' });
    await expect(session.read('b', undefined, 1)).rejects.toMatchObject({ code: 'rate_limited' });
    await expect(session.channels('**', undefined, 1)).rejects.toMatchObject({ code: 'rate_limited' });
  });

  it('bound one token after the other', async () => {
    const session = (await start()).open('ann');
    for (let count = 0; count < 2; count += 1) await session.refresh('ann');
    await expect(session.refresh('ann')).rejects.toMatchObject({ code: 'rate_limited' });
  });

  it('count a subscription once, with what is retained for it', async () => {
    const session = (await start()).open('ann');
    await follow(session, 'a', {});
    for (let count = 0; count < 3; count += 1) expect((await session.retained('a')).messages).toEqual([]);
    await follow(session, 'b', {});
  });

  it('bound what one channel takes from everybody, where its namespace says so', async () => {
    const namespaces = createNamespaces(
      [{ filter: 'slow/*', publishesPerSecondMax: 1 }],
      defaultRules,
      defaultLimits,
    );
    const hub = await startHub({ namespaces });
    const [one, other] = [await openSession(hub), await openSession(hub)];
    await publishText(one, 'slow/a', 'yes');
    await publishText(other, 'slow/a', 'yes');
    await expect(publishText(one, 'slow/a', 'no')).rejects.toMatchObject({
      code: 'rate_limited',
      message:
        'Rate limit exceeded: about 3 messages per second are published to this channel, and ' +
        'publishesPerSecondMax of its namespace is 1.',
    });
    one.checkPublish('slow/a', { payload: Buffer.alloc(0) });
    const draft = { payload: Buffer.from('x') };
    const results = await one.publishAll([
      { channel: 'slow/a', draft },
      { channel: 'slow/b', draft },
      { channel: 'fast', draft },
    ]);
    expect(results).toMatchObject([{ code: 'rate_limited' }, { offset: 1 }, { offset: 1 }]);
  });

  it('do not hold for an administrator, or while authentication is off', async () => {
    const { hub } = await start();
    const admin = hub.open(
      { subject: 'root', isAdmin: true, claims },
      { transport: 'test' },
      new RecordingSink(),
    );
    const open = await openSession(await startHub({ limits }));
    for (const session of [admin, open]) {
      for (let count = 0; count < 20; count += 1) await publishText(session, 'a', 'yes');
    }
  });
});
