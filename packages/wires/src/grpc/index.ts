/** gRPC and gRPC-Web: length-prefixed messages, requests, status and trailers. */
export * from './frames.ts';
export * from './requests.ts';
export * from './status.ts';
export * from './web-trailers.ts';
