export * from './cursor.ts';
export * from './envelope.ts';
export * from './errors.ts';
export * from './filter.ts';
export * from './media.ts';
export * from './names.ts';
export * from './since.ts';
export * from './strict-json.ts';
