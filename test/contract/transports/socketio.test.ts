import { socketIoPollingDriver, socketIoWebSocketDriver } from '../../drivers/socketio.ts';
import { transportContract } from '../transport.contract.ts';

transportContract({ driver: socketIoWebSocketDriver });
transportContract({
  driver: socketIoPollingDriver,
  skip: [
    {
      reason: 'the library polls whenever it can, and has no way to stop; a poll is one batch in any case',
      tests: ['holds a reader that stops taking bytes at its cursor, and catches it up exactly'],
    },
  ],
});
