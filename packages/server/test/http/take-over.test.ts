import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { isTakenOver, takeOver } from '../../src/http/take-over.ts';
import { openGet } from '../../../../test/clients/http/wire-client.ts';

/** Serves one request by taking its socket over; `prepare` may hide parts of Node's inside from it, and shows them again. */
async function takeOne(prepare: (request: IncomingMessage) => (() => void) | undefined): Promise<void> {
  let served = 0;
  let taken: Socket | undefined;
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    if (isTakenOver(request.socket)) return;
    served += 1;
    const showAgain = prepare(request);
    taken = takeOver(request, response);
    // Node itself needs them when the socket closes.
    showAgain?.();
    taken.on('error', () => undefined).resume();
    taken.write('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfirst');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  await using client = await openGet((server.address() as AddressInfo).port, '/');
  await client.until(({ received }) => received.endsWith('first'));
  // The peer's further input is not a request.
  await client.send('GET /again HTTP/1.1\r\nHost: localhost\r\n\r\n');
  taken!.write(' second');
  await client.until(({ received }) => received.endsWith('first second'));
  const ended = once(taken!, 'end');
  client.socket.end();
  await ended;
  taken!.destroy();
  await client.closed();
  expect(client.received.match(/HTTP\/1\.1/g)).toHaveLength(1);
  expect(served).toBe(1);
  server.close();
  await once(server, 'close');
}

interface Inside {
  parser?: Record<string, unknown>;
}

describe('taking a socket over', () => {
  it('leaves nothing of HTTP on it', async () => {
    let socket: Socket | undefined;
    await takeOne((request) => {
      socket = request.socket;
      expect((socket as unknown as Inside).parser).toBeTruthy();
      return undefined;
    });
    expect((socket as unknown as Inside).parser).toBeNull();
    expect(socket!.eventNames().toSorted()).toEqual(['end', 'error']);
  });

  it('does without methods that a later Node may not have', async () => {
    await takeOne(({ socket }) => {
      const parser = (socket as unknown as Inside).parser!;
      const hidden = ['remove', 'close'];
      // Own properties, in front of the methods that every parser has.
      for (const name of hidden) parser[name] = undefined;
      return () => {
        for (const name of hidden) Reflect.deleteProperty(parser, name);
      };
    });
  });
});
