import type { Batch, WireFormat } from '../../core/log/batch.ts';
import { encodeFor, messageFormat, type MessageShape } from './format.ts';

/** For how many subscription ids a batch remembers its bytes. Most clients use the same few ids. */
const rememberedMax = 16;

/** MESSAGE for all subscriptions of one shape. */
export class SharedFormat {
  readonly key: string;
  readonly shape: MessageShape;
  users = 0;
  /** Whether batches remember the bytes: not for ids of only one subscription, since there may be thousands of them. */
  isRemembered = false;
  readonly #format: WireFormat;

  constructor(shape: MessageShape, format: WireFormat) {
    this.key = format.id;
    this.shape = shape;
    this.#format = format;
  }

  encode(batch: Batch): Buffer {
    return this.isRemembered ? batch.as(this.#format).bytes : encodeFor(batch, this.shape);
  }
}

/** Formats in use, so that subscriptions of one shape find each other. */
export class MessageFormats {
  readonly #byKey = new Map<string, SharedFormat>();
  #remembered = 0;

  take(shape: MessageShape): SharedFormat {
    const format = messageFormat(shape);
    let shared = this.#byKey.get(format.id);
    if (shared === undefined) this.#byKey.set(format.id, (shared = new SharedFormat(shape, format)));
    shared.users += 1;
    if (!shared.isRemembered && shared.users > 1 && this.#remembered < rememberedMax) {
      shared.isRemembered = true;
      this.#remembered += 1;
    }
    return shared;
  }

  release(shared: SharedFormat): void {
    shared.users -= 1;
    if (shared.users > 0) return;
    this.#byKey.delete(shared.key);
    if (shared.isRemembered) this.#remembered -= 1;
  }
}
