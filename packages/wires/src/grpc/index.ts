/** Length-prefixed messages of gRPC, and decoding of requests. */
export * from './frames.ts';
export * from './requests.ts';
