/** Webhooks: signatures of Standard Webhooks, and CloudEvents 1.0 over HTTP. */
export * from './cloud-event.ts';
export * from './read-cloud-event.ts';
export * from './signature.ts';
export * from './write-cloud-event.ts';
