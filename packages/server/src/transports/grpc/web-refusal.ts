import { toBinary, create } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import type { EverywireError } from '@everywire/protocol';
import type { OutgoingHttpHeaders } from 'node:http';
import { ErrorInfoSchema } from '@everywire/wires/grpc/generated/google/rpc/error_details_pb.js';
import { errorDomain, frameMessage, prefixFlags, trailersOf } from '@everywire/wires/grpc';

export interface WebRefusal {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer;
}

/**
 * A refusal in the protocol of the request's content type. It needs no byte of the request's body; the library would
 * read the body first.
 */
export function webRefusal(error: EverywireError, contentType: string | undefined): WebRefusal {
  const type = /^[^;\s]*/.exec(contentType ?? '')![0].toLowerCase();
  if (type.startsWith('application/grpc-web')) {
    // PROTOCOL-WEB: an answer of trailers alone has them among its headers.
    return {
      status: 200,
      headers: { 'Content-Type': type, ...trailersOf(error) },
      body: Buffer.alloc(0),
    };
  }
  const told = connectErrorJson(error);
  if (!type.startsWith('application/connect+')) {
    const body = Buffer.from(JSON.stringify(told));
    return { status: error.httpStatus, headers: { 'Content-Type': 'application/json' }, body };
  }
  // The end of the stream (Connect protocol, Streaming-Response).
  const body = frameMessage(Buffer.from(JSON.stringify({ error: told })), prefixFlags.connectEnd);
  return { status: 200, headers: { 'Content-Type': type }, body };
}

/** Connect protocol, "Error codes" and "Unary-Response": details are base64 without padding. */
function connectErrorJson({ code, message, row }: EverywireError): object {
  const info = create(ErrorInfoSchema, { reason: code.toUpperCase(), domain: errorDomain });
  const value = Buffer.from(toBinary(ErrorInfoSchema, info)).toString('base64').replace(/=+$/, '');
  const name = Code[row.grpc] ?? 'Unknown';
  return {
    code: name.replace(/(?<=.)[A-Z]/g, '_$&').toLowerCase(),
    message,
    details: [{ type: ErrorInfoSchema.typeName, value }],
  };
}
