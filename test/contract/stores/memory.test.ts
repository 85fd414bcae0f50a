import { createMemoryStore } from '../../../packages/server/src/stores/memory/store.ts';
import { storeContract } from '../store.contract.ts';

storeContract({
  name: 'memory',
  modelRuns: 500,
  isAloneBecause: 'it is in the memory of one process',
  place: (options) => ({ make: () => createMemoryStore(options), remove: () => undefined }),
  skip: [
    {
      reason: 'it ends with its process',
      tests: [
        'has everything, under a new epoch, and old positions hold',
        'with an older copy put back: positions of the lost tail are a gap',
        'with an older copy of the same opening put back',
        'are counted anew when the store is opened again',
      ],
    },
  ],
});
