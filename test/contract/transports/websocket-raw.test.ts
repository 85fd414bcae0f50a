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
        'refuses to publish a message that is too large or has an invalid name, and stores nothing of it',
      ],
    },
  ],
});
