import type { EverywireError } from '@everywire/protocol';

/** The target of the responses of one streaming call: an HTTP/2 stream, or a handler of Connect. */
export interface ResponseWriter {
  /**
   * Sends length-prefixed messages, which may be shared and must not change. Returns false: send nothing more until the
   * call is `drained`.
   */
  send(framed: Buffer): boolean;
  /** Ends the call with status OK, or with the status of the refusal. */
  end(error?: EverywireError): void;
}
