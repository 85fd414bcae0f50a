import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { Code, ConnectError } from '@connectrpc/connect';

const textType = /^application\/grpc-web-text/i;

/**
 * Lets the library answer gRPC-Web in base64, `application/grpc-web-text` (PROTOCOL-WEB), as gRPC-Web in binary. The
 * client of grpc-web uses it for streams, since XMLHttpRequest reads a response before its end only as text.
 */
export function translateWebText(request: IncomingMessage, response: ServerResponse): void {
  const { headers } = request;
  const asked = headers['content-type'] ?? '';
  if (!textType.test(asked)) return;
  headers['content-type'] = asked.replace(textType, 'application/grpc-web');
  const chunks = request[Symbol.asyncIterator].bind(request);
  request[Symbol.asyncIterator] = () => decode(chunks());
  const [writeHead, write] = [response.writeHead.bind(response), response.write.bind(response)];
  Object.assign(response, {
    writeHead: (status: number, fields: OutgoingHttpHeaders) =>
      writeHead(status, { ...fields, 'content-type': textTypeOf(fields['content-type']) }),
    // Each write is encoded by itself, so that a message is complete without the next one.
    write: (bytes: Uint8Array, _encoding: string, done: (error?: Error | null) => void) =>
      write(Buffer.from(bytes).toString('base64'), 'latin1', done),
  });
}

function textTypeOf(type: unknown): string | undefined {
  return typeof type === 'string' ? type.replace(/^application\/grpc-web/i, '$&-text') : undefined;
}

async function* decode(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer, undefined> {
  let rest = '';
  for await (const chunk of chunks) {
    const text = rest + chunk.toString('latin1');
    const whole = text.length - (text.length % 4);
    rest = text.slice(whole);
    yield Buffer.concat(decodeRuns(text.slice(0, whole)));
  }
  if (rest !== '') throw malformed();
  return undefined;
}

/** Padding may be within the text: a client may encode each message by itself. */
function decodeRuns(text: string): readonly Buffer[] {
  const runs: Buffer[] = [];
  // RFC 4648 §4.
  const run = /[A-Za-z0-9+/]+={0,2}/y;
  for (let at = 0; at < text.length; at = run.lastIndex) {
    const found = run.exec(text)?.[0];
    if (found === undefined || found.length % 4 !== 0) throw malformed();
    runs.push(Buffer.from(found, 'base64'));
  }
  return runs;
}

function malformed(): ConnectError {
  return new ConnectError('The body of application/grpc-web-text must be base64.', Code.InvalidArgument);
}
