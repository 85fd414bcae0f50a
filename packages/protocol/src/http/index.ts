export * from './ndjson.ts';
export * from './page.ts';
export * from './problem.ts';
export * from './sse.ts';
export { type ParseJson, type StreamItem } from './stream-item.ts';
