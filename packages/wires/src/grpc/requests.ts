import { fromBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { EverywireError } from '@everywire/protocol';

/**
 * A request, decoded by the generated code.
 * @throws EverywireError `internal`, which is gRPC's word for bytes that are not the message they should be
 */
export function decoded<Desc extends DescMessage>(schema: Desc, message: Uint8Array): MessageShape<Desc> {
  try {
    return fromBinary(schema, message);
  } catch (cause) {
    throw new EverywireError('internal', 'A message is not valid protobuf.', { cause });
  }
}
