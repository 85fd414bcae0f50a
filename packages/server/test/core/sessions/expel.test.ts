import { EverywireError } from '@everywire/protocol';
import { expect, it } from 'vitest';
import { openAccess, type Access, type Identity } from '../../../src/core/sessions/access.ts';
import type { Progress } from '../../../src/core/seams/subscription-api.ts';
import { follow, openSession, publishText, RecordingSink, startHub } from '../hub-rig.ts';

/** Its peer gets the notice while the places of its subscriptions are still known. */
class ClosableSink extends RecordingSink {
  onClose: (() => void) | undefined;

  override close(): void {
    this.onClose?.();
  }
}

/** Everybody may everything, until all are revoked. */
function revocable(): { readonly access: Access; readonly revoke: () => void } {
  let isRevoked = false;
  let tell: ((isHit: (identity: Identity) => boolean) => void) | undefined;
  const claims = { subscribe: ['**'], publish: ['**'], expiresAtMs: Number.MAX_SAFE_INTEGER };
  const access: Access = {
    ...openAccess,
    authenticate: ({ token }) =>
      Promise.resolve({ subject: token, isAdmin: false, ...(token === undefined ? {} : { claims }) }),
    checkCurrent: () => {
      if (isRevoked) throw new EverywireError('unauthorized', 'over');
    },
    onRevoked: (listener) => (tell = listener),
  };
  const revoke = (): void => {
    isRevoked = true;
    tell!(() => true);
  };
  return { access, revoke };
}

async function start() {
  const { access, revoke } = revocable();
  const hub = await startHub({ access });
  const sink = new ClosableSink();
  const identity = await hub.authenticate({ token: 'ann', address: undefined });
  return { hub, sink, revoke, session: hub.open(identity, { transport: 'test' }, sink) };
}

it('a session that is ended may still say what its peer has, and its cursor', async () => {
  const { hub, sink, revoke, session } = await start();
  const otherSink = new RecordingSink();
  const other = await openSession(hub, otherSink);
  const job = await follow(session, '$share/g/jobs', { acknowledge: 'peer' });
  const log = await follow(session, 'log', { acknowledge: 'peer' });
  const { seq } = await publishText(other, 'jobs', 'had');
  await publishText(other, 'log', 'not acknowledged');
  await sink.received(2);
  await follow(other, '$share/g/jobs', { acknowledge: 'peer' });
  let progress: Progress | undefined;
  sink.onClose = () => {
    job.ack(seq, true);
    progress = log.progress;
    // A transport that ends an already ended session changes nothing.
    session.end();
    session.drained();
  };
  revoke();
  expect(progress?.cursor).toBe(log.startCursor);
  expect(hub.figures.subscriptions).toBe(1);
  await publishText(other, 'jobs', 'for the other');
  expect(await otherSink.received(1)).toEqual(['for the other']);
  await expect(follow(session, 'log', {})).rejects.toMatchObject({ code: 'unauthorized' });
  other.end();
  await hub.stop();
});

it('a sink that throws at the notice costs the session nothing else', async () => {
  const { hub, sink, revoke, session } = await start();
  await follow(session, 'log', {});
  sink.onClose = () => {
    throw new Error('a fault of a transport');
  };
  revoke();
  expect(hub.figures.subscriptions).toBe(0);
  expect(hub.figures.sessions.get('test')).toBe(0);
  await hub.stop();
});
