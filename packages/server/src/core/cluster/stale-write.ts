import { EverywireError } from '@everywire/protocol';

/**
 * A guard or fence of a write did not hold, so nothing was written. The core recognises it by its class, and decides
 * again or stops acting. Clients see it as `conflict`.
 */
export class StaleWrite extends EverywireError {
  constructor() {
    super('conflict', 'Another request changed this meanwhile, so nothing was stored. Read it again.');
  }
}
