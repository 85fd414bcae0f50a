/** STOMP 1.0, 1.1 and 1.2: bytes to frames and back. */
export * from './escape.ts';
export * from './frame-reader.ts';
export * from './frame.ts';
export * from './frames.ts';
export * from './reserved.ts';
