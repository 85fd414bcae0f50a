import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogReader } from '../src/log-reader.ts';
import { checkOptions } from '../src/options.ts';

describe('reads of the log', () => {
  let server: Server;
  let statuses: number[];
  let reader: LogReader;

  beforeEach(async () => {
    server = createServer((_request, response) => {
      response.writeHead(statuses.shift() ?? 200, { 'Retry-After': '0' }).end('{"messages":[]}');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    reader = new LogReader(checkOptions({ url: `http://127.0.0.1:${port}` }));
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  it.each([[[503, 429, 500]], [[507]], [[408]]])('are repeated after %j', async (given) => {
    statuses = [...given];
    expect(await reader.channels('a', undefined, AbortSignal.timeout(20_000))).toEqual({ messages: [] });
    expect(statuses).toEqual([]);
  });

  it.each([400, 401, 403, 404, 501])('are not repeated after %i', async (status) => {
    statuses = [status, 500];
    expect(await reader.channels('a', undefined, AbortSignal.timeout(20_000))).toBeUndefined();
    expect(statuses).toEqual([500]);
  });

  it('end with their signal', async () => {
    statuses = Array.from({ length: 1_000 }, () => 503);
    await expect(reader.channels('a', undefined, AbortSignal.timeout(300))).rejects.toThrow();
  });
});
