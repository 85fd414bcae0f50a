import { expect, it } from 'vitest';
import { openAccess } from '../../../src/core/access.ts';
import { messagingClient, StreamClient } from './client.ts';
import { GrpcServer } from './server.ts';

it('reads nothing of a call while it is not known who makes it', async () => {
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
