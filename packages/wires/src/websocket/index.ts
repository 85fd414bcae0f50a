/** WebSocket frames (RFC 6455), for clients and servers. */
export * from './frame-reader.ts';
export * from './frames.ts';
export * from './mask.ts';
export * from './utf8.ts';
