/**
 * Follows channels over gRPC, and keeps its cursor in a file: stop it, publish, start it again, and it resumes at the
 * cursor. The client is grpc-js, which reads the .proto file directly.
 *
 *     npx node examples/grpc-reader.ts localhost:50051 'demo/**' cursor.txt
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Client, credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const [address = 'localhost:50051', filter = 'demo', cursorFile = 'cursor.txt'] = process.argv.slice(2);

interface Response {
  readonly kind: 'subscribed' | 'message' | 'gap' | 'goaway';
  readonly subscribed?: { readonly cursor: string };
  readonly message?: {
    readonly channel: string;
    readonly offset: string;
    readonly cursor: string;
    readonly data: Buffer;
  };
  readonly gap?: {
    readonly channel: string;
    readonly from: string;
    readonly to: string;
    readonly reason: string;
  };
}

const definition = loadSync('everywire/v1/messaging.proto', {
  includeDirs: [fileURLToPath(new URL('../proto', import.meta.url))],
  oneofs: true,
  longs: String,
});
const { everywire } = loadPackageDefinition(definition) as unknown as {
  readonly everywire: { readonly v1: { readonly Messaging: typeof Client } };
};
const client = new everywire.v1.Messaging(address, credentials.createInsecure()) as Client & {
  subscribe(request: object): NodeJS.EventEmitter;
};

function follow(): void {
  const after = existsSync(cursorFile) ? readFileSync(cursorFile, 'utf8') : '';
  const call = client.subscribe({ channels: [filter], after });
  call.on('data', ({ subscribed, message, gap }: Response) => {
    if (subscribed) {
      console.error('following');
      // The place where it began, for a connection that is lost before any message.
      if (after === '') writeFileSync(cursorFile, subscribed.cursor);
    } else if (gap) {
      console.error(`${gap.channel}: ${gap.from} to ${gap.to} are gone (${gap.reason})`);
    } else if (message) {
      console.log(`${message.channel} ${message.offset}: ${message.data.toString()}`);
      // Only what was handled: after a crash it comes again, with the same offset.
      writeFileSync(cursorFile, message.cursor);
    }
  });
  call.on('error', ({ code, details }: ServiceError) => {
    console.error(`${code} ${details}`);
    // INVALID_ARGUMENT, PERMISSION_DENIED and UNAUTHENTICATED would be answered the same again.
    if (![3, 7, 16].includes(code)) setTimeout(follow, 500);
  });
}

follow();
