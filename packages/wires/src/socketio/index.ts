/** Packets of Engine.IO 4 and Socket.IO 5. */
export * from './engine-packets.ts';
export * from './io-packets.ts';
export * from './json-items.ts';
