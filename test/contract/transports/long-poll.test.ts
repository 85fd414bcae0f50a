import { longPollDriver } from '../../drivers/http.ts';
import { transportContract } from '../transport.contract.ts';

transportContract({
  driver: longPollDriver,
  skip: [
    {
      reason: 'every request is independent: there is no connection to hold or to say goodbye on',
      tests: [
        'holds a reader that stops taking bytes at its cursor, and catches it up exactly',
        'says goodbye in its own way when the server stops',
      ],
    },
  ],
});
