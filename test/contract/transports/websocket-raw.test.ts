import { rawWebSocketDriver } from '../../drivers/websocket.ts';
import { transportContract } from '../transport.contract.ts';

transportContract({
  driver: rawWebSocketDriver,
  skip: [
    {
      reason:
        'frames upward are bare payloads: ids and refusals are for everywire.v1, and transports/websocket tests them',
      tests: [
        'publishes over itself, once per publish id',
        'refuses to publish what is too large or badly named, and stores nothing of it',
      ],
    },
  ],
});
