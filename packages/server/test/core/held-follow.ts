import type { Hub } from '../../src/core/hub.ts';

/** A store that begins to follow nothing until it is released: subscriptions wait for it meanwhile. */
export class HeldFollow {
  readonly isAsked: Promise<void>;
  #release!: () => void;

  constructor({ store }: Hub) {
    const follow = store.follow.bind(store);
    const gone = new Promise<void>((resolve) => (this.#release = resolve));
    this.isAsked = new Promise((resolve) => {
      store.follow = async (filter) => {
        resolve();
        await gone;
        return follow(filter);
      };
    });
  }

  release(): void {
    this.#release();
  }
}
