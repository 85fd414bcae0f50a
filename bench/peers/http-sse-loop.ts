import http, { type ServerResponse } from 'node:http';
import { listen } from './listen.ts';
import { servePeer } from './peer-calls.ts';

// Server-Sent Events by hand: `node:http`, and a write per client.
const responses = new Set<ServerResponse>();
const server = http.createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
  response.flushHeaders();
  responses.add(response);
  response.on('close', () => responses.delete(response));
});
let id = 0;

servePeer(listen(server), (payload) => {
  const event = `id: ${++id}\ndata: ${payload}\n\n`;
  for (const response of responses) response.write(event);
});
