import { styleText } from 'node:util';

/** Words for people, on standard error, so that standard output stays data. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function sayError(text: string): void {
  say(`${styleText('red', 'everywire:', { stream: process.stderr })} ${text}`);
}

/** Writes data, and waits while the reader of the pipe is slower. */
export async function write(data: string | Uint8Array): Promise<void> {
  if (process.stdout.write(data)) return;
  await new Promise<void>((resolve) => process.stdout.once('drain', resolve));
}

/** Ends quietly when the reader of a pipe has gone (`… | head -1`): it has what it wanted. */
export function endOnClosedPipe(): void {
  onPipeError(() => process.exit(0));
}

/** Keeps running without output: a server outlives the reader of its log. */
export function outliveClosedPipe(): void {
  onPipeError(() => undefined);
}

function onPipeError(closed: () => void): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners('error');
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      closed();
    });
  }
}
