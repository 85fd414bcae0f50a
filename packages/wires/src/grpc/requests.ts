import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { EverywireError } from '@everywire/protocol';

/** Decodes a request with the generated code. @throws EverywireError `internal`, the code of gRPC for invalid protobuf */
export function decoded<Desc extends DescMessage>(schema: Desc, message: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, message);
  } catch (cause) {
    throw new EverywireError('internal', 'A message is not valid protobuf.', { cause });
  }
}
