/** WebSocket (RFC 6455) for clients and servers: frames, and what both ends of the opening handshake compute. */
export * from './frame-reader.ts';
export * from './frames.ts';
export * from './handshake.ts';
export * from './mask.ts';
export * from './utf8.ts';
