/**
 * An application whose users read and publish from their browsers, each with separate rights. It logs users in, and signs
 * tokens with their names and rights; with such a token a page connects to Everywire directly. README.md says how to start both.
 *
 *     node examples/auth-app/server.ts 3000 http://localhost:8080 secret.txt
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { SignJWT } from 'jose';

const [port = '3000', everywire = 'http://localhost:8080', secretFile, seconds = '60'] =
  process.argv.slice(2);
if (secretFile === undefined)
  throw new Error('usage: server.ts <port> <everywire> <file with the secret> [seconds]');
const secret = new TextEncoder().encode(readFileSync(secretFile, 'utf8').trim());
const page = readFileSync(new URL('index.html', import.meta.url));

/** The logged-in users, by the cookie of this application. Everywire never sees that cookie. */
const sessions = new Map<string, string>();

/** Short, because the page gets another one as long as it is logged in; and only what a user needs. */
function tokenFor(name: string): Promise<string> {
  const everywire = { subscribe: ['chat/**', '!chat/staff/**'], publish: ['chat/{sub}'] };
  return new SignJWT({ everywire })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(name)
    .setIssuedAt()
    .setExpirationTime(`${seconds} seconds`)
    .sign(secret);
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method, url } = request;
  if (method === 'GET' && url === '/') {
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(page);
  } else if (method === 'POST' && url === '/login') {
    await logIn(request, response);
  } else if (method === 'POST' && url === '/token') {
    const name = sessions.get(/(?:^|; )session=(\w+)/.exec(request.headers.cookie ?? '')?.[1] ?? '');
    if (name === undefined) response.writeHead(401).end();
    else answerJson(response, { token: await tokenFor(name), seconds: Number(seconds), everywire, name });
  } else {
    response.writeHead(404).end();
  }
}

/** Accepts any name without a password: replace it with the login of your application. */
async function logIn(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const name = await text(request);
  if (!/^[a-z]{1,20}$/.test(name)) {
    response.writeHead(400).end();
    return;
  }
  const session = randomBytes(16).toString('hex');
  sessions.set(session, name);
  // Strict, so that no page of another site gets a token for the logged-in user.
  response.writeHead(204, { 'Set-Cookie': `session=${session}; HttpOnly; SameSite=Strict; Path=/` }).end();
}

function answerJson(response: ServerResponse, body: object): void {
  response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  response.end(JSON.stringify(body));
}

createServer((request, response) => {
  answer(request, response).catch((error: unknown) => {
    console.error(String(error));
    response.destroy();
  });
}).listen(Number(port), 'localhost', () => {
  console.log(`http://localhost:${port}/, for Everywire at ${everywire}`);
});
