import { status } from '@grpc/grpc-js';
import { EverywireError } from '@everywire/protocol';
import { expect, it } from 'vitest';
import { openAccess, type Identity } from '../../../src/core/sessions/access.ts';
import { HeldStore } from '../../core/held-store.ts';
import { messagingClient, StreamClient } from '../../../../../test/clients/grpc/client.ts';
import { GrpcServer } from './server.ts';

it('reads nothing of a call while its caller is unknown', async () => {
  const asked = Promise.withResolvers<undefined>();
  const admitted = Promise.withResolvers<undefined>();
  const server = await GrpcServer.start({
    access: {
      ...openAccess,
      authenticate: async (credentials) => {
        asked.resolve(undefined);
        await admitted.promise;
        return openAccess.authenticate(credentials);
      },
    },
  });
  const client = messagingClient(server.address);
  const stream = new StreamClient(client);
  const published = stream.ask({ publish: { channel: 'a', data: Buffer.alloc(60_000) } });
  await asked.promise;
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  expect([server.streams, server.isReading]).toEqual([1, false]);
  admitted.resolve(undefined);
  expect(await published).toMatchObject({ kind: 'published' });
  expect(server.isReading).toBe(true);
  stream.cancel();
  client.close();
  await server.stop();
});

it('answers what was asked before when a stream ends with its token', async () => {
  let isRevoked = false;
  let revoke!: (isHit: (identity: Identity) => boolean) => void;
  const claims = { subscribe: ['**'], publish: ['**'], expiresAtMs: Number.MAX_SAFE_INTEGER };
  const server = await GrpcServer.start({
    access: {
      ...openAccess,
      authenticate: async () => ({ subject: 'ann', isAdmin: false, claims }),
      checkCurrent: () => {
        if (isRevoked) throw new EverywireError('unauthorized', 'The token was revoked.');
      },
      onRevoked: (listener) => (revoke = listener),
    },
  });
  const client = messagingClient(server.address);
  const stream = new StreamClient(client);
  await stream.ask({ subscribe: { channel: 'a' } });
  const store = new HeldStore(server.hub);
  stream.send({ publish: { channel: 'a', data: Buffer.from('asked before') } });
  await store.until(() => store.underWay === 1);
  isRevoked = true;
  revoke(() => true);
  stream.send({ publish: { channel: 'a', data: Buffer.from('asked after') } });
  store.release();
  expect((await stream.ended())?.code).toBe(status.UNAUTHENTICATED);
  expect(stream.responses.map(({ kind }) => kind)).toEqual(['subscribed', 'published']);
  expect(store.underWay).toBe(1);
  client.close();
  await server.stop();
});
