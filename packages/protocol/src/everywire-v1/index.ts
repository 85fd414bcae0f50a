export * from './answers.ts';
export * from './close.ts';
export * from './commands.ts';
