import type { EverywireError } from '@everywire/protocol';

/** Where the responses of one streaming call go: an HTTP/2 stream, or a handler of Connect. */
export interface ResponseWriter {
  /** Length-prefixed messages, which may be shared and must not change. False: nothing more until the call is `drained`. */
  send(framed: Buffer): boolean;
  /** Ends the call: with status OK, or as the refusal says. */
  end(error?: EverywireError): void;
}
