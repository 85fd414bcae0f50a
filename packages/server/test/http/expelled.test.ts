import { once } from 'node:events';
import { connect } from 'node:net';
import { EverywireError } from '@everywire/protocol';
import { afterEach, expect, it } from 'vitest';
import { openAccess, type Access, type Identity } from '../../src/core/sessions/access.ts';
import { startRig, type Rig } from './rig.ts';

let rig: Rig;
afterEach(() => rig.stop());

/** Everyone has a token, until `revoke`. */
function revocableAccess(): { readonly access: Access; readonly revoke: () => void } {
  const claims = { subscribe: ['**'], publish: ['**'], expiresAtMs: Number.MAX_SAFE_INTEGER };
  let isRevoked = false;
  let tell: (isHit: (identity: Identity) => boolean) => void = () => undefined;
  return {
    access: {
      ...openAccess,
      authenticate: async () => ({ subject: 'ann', isAdmin: false, claims }),
      checkCurrent: () => {
        if (isRevoked) throw new EverywireError('unauthorized', 'The token was revoked.');
      },
      onRevoked: (listener) => (tell = listener),
    },
    revoke: () => {
      isRevoked = true;
      tell(() => true);
    },
  };
}

it('a stream whose token was revoked is cut, although its peer does not read', async () => {
  const { access, revoke } = revocableAccess();
  rig = await startRig({ access, transports: ['sse'], limits: { closeTimeoutMs: 300 } });
  const socket = connect(rig.port, '127.0.0.1');
  await once(socket, 'connect');
  socket.write('GET /channels/a HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n');
  await once(socket, 'readable');
  // More than the buffers of both machines take, so that the last event cannot leave.
  const body = 'x'.repeat(60_000);
  for (let count = 0; count < 200; count += 1)
    await fetch(`${rig.front.url}/channels/a`, { method: 'POST', body });
  revoke();
  expect(rig.hub.figures.sessions.get('sse')).toBe(0);
  // Resolves when no response is open any more.
  await rig.transports[0]!.drain(new AbortController().signal);
  socket.destroy();
});
