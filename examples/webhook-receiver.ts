/**
 * A webhook receiver without dependencies: verifies the signature, drops what it has seen, prints the rest.
 *
 *     npx node examples/webhook-receiver.ts 9000 whsec_…
 *
 * The server has to be allowed to call it: EVERYWIRE_WEBHOOKS__ALLOW_TARGETS=127.0.0.1
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';

const [port = '9000', secret = ''] = process.argv.slice(2);
const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
const toleranceSeconds = 300;
// In real life: a table, written in the same transaction as what the message does.
const seen = new Set<string>();

function isGenuine(headers: IncomingHttpHeaders, body: Buffer): boolean {
  const id = String(headers['webhook-id']);
  const timestamp = String(headers['webhook-timestamp']);
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= toleranceSeconds)) return false;
  const expected = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  return String(headers['webhook-signature'])
    .split(' ')
    .some((one) => {
      const given = Buffer.from(one.replace(/^v1,/, ''), 'base64');
      return given.length === expected.length && timingSafeEqual(given, expected);
    });
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks);
    if (!isGenuine(request.headers, body)) {
      response.writeHead(401).end();
      return;
    }
    const id = String(request.headers['webhook-id']);
    const message = JSON.parse(body.toString()) as { channel: string; offset: number; data: unknown };
    if (!seen.has(id)) console.log(`${message.channel} ${message.offset} ${JSON.stringify(message.data)}`);
    seen.add(id);
    response.writeHead(204).end();
  });
});
server.listen(Number(port), '127.0.0.1', () => {
  console.error(`listening on ${(server.address() as { port: number }).port}`);
});
