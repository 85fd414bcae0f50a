import type { Log } from '../../../src/core/seams/log.ts';

export interface MemoryLog extends Log {
  readonly lines: readonly { readonly level: string; readonly fields: object; readonly text: string }[];
}

export function memoryLog(): MemoryLog {
  const lines: MemoryLog['lines'][number][] = [];
  const at = (level: string) => (fields: object, text: string) => void lines.push({ level, fields, text });
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
