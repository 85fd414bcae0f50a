import { expect, test } from 'vitest';
import { describeEndpoints } from '../../src/cli/endpoints.ts';
import { completeConfig } from '../../src/config/load.ts';
import type { ConfigInput } from '../../src/config/schema.ts';
import type { Started } from '../../src/server.ts';

const http = 'http://127.0.0.1:8080';
const overWebSocket = { transport: 'mqtt', url: 'ws://127.0.0.1:8080/mqtt', tryIt: 'try it' };

function tableOf(started: Partial<Started>, input: ConfigInput = {}): string {
  const { config } = completeConfig(input);
  return describeEndpoints({ http, endpoints: [], ...started }, config);
}

test('a listener whose default port is taken is off, and the table says so', () => {
  const table = tableOf({ endpoints: [overWebSocket] });
  expect(table).toContain('off over TCP: port 1883 is taken; --mqtt-port chooses another');
  expect(table).not.toContain('61613');
});

test('one that was turned off, or that is on, is not said to be off', () => {
  expect(tableOf({ endpoints: [overWebSocket] }, { mqtt: { port: -1 } })).not.toContain('off');
  expect(tableOf({ endpoints: [overWebSocket], mqtt: 'mqtt://127.0.0.1:1883' })).not.toContain('off');
});

test('where everybody shows a token it says how, and nowhere else', () => {
  const secret = 'a secret that is long enough for HS256';
  const table = tableOf({}, { auth: { jwt: { secret } } });
  expect(table).toContain('export EVERYWIRE_TOKEN=$(npx everywire token');
  expect(table).not.toContain(secret.slice(0, 12));
  const byKeySet = tableOf({}, { auth: { jwt: { jwks: 'https://issuer.example/jwks' } } });
  expect(byKeySet).toContain('export EVERYWIRE_TOKEN=…');
  expect(tableOf({})).not.toContain('EVERYWIRE_TOKEN');
});
