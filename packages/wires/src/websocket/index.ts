/** WebSocket (RFC 6455) for clients and servers: frames, and the parts of the opening handshake that both sides compute. */
export * from './frame-reader.ts';
export * from './frames.ts';
export * from './handshake.ts';
export * from './mask.ts';
export * from './utf8.ts';
