import { styleText } from 'node:util';

/** Prints text for people to standard error, so that standard output stays data. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function sayError(text: string): void {
  say(`${styleText('red', 'everywire:', { stream: process.stderr })} ${text}`);
}

/** Writes data, and waits while the reader of the pipe is slower. */
export async function write(data: string | Uint8Array): Promise<void> {
  const { stdout } = process;
  if (stdout.write(data) || stdout.destroyed) return;
  await new Promise<void>((resolve) => {
    const settle = (): void => {
      for (const event of ['drain', 'close'] as const) stdout.off(event, settle);
      resolve();
    };
    for (const event of ['drain', 'close'] as const) stdout.once(event, settle);
  });
}

/** Ends quietly when the reader of a pipe has gone (`… | head -1`), because it has enough. */
export function endOnClosedPipe(): void {
  for (const stream of [process.stdout, process.stderr]) onPipeError(stream, () => process.exit(0));
}

/** A server outlives the reader of its log. Where the reader of its table has gone, it calls `stop`. */
export function outliveClosedLog(stop: () => void): void {
  onPipeError(process.stdout, stop);
  onPipeError(process.stderr, () => undefined);
}

function onPipeError(stream: NodeJS.WriteStream, closed: () => void): void {
  stream.removeAllListeners('error');
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    closed();
  });
}
