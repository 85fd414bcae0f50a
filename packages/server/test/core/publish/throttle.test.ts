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
    for (let count = 0; count < 3; count += 1) expect(await session.retained('a', 1)).toEqual([]);
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
    await expect(publishText(one, 'slow/a', 'no')).rejects.toMatchObject({ code: 'rate_limited' });
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
