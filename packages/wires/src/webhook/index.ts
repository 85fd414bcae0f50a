/** Signatures of Standard Webhooks. */
export * from './signature.ts';
