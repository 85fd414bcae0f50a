import { webhookDriver } from '../../drivers/webhook.ts';
import { transportContract } from '../transport.contract.ts';

transportContract({
  driver: webhookDriver,
  skip: [
    {
      reason: 'a webhook carries nothing upward; its endpoint publishes over HTTP',
      tests: [
        'publishes over itself, once per publish id',
        'refuses to publish a message that is too large or has an invalid name, and stores nothing of it',
      ],
    },
    {
      reason: 'the server connects to the endpoint, so it has no client to say goodbye to',
      tests: ['says goodbye in its own way when the server stops'],
    },
    {
      reason: 'channels are delivered side by side: order holds within each',
      tests: ['gives a filter all its channels in the one order of the store'],
    },
  ],
});
