export * from './cursor.ts';
export * from './envelope.ts';
export * from './errors.ts';
