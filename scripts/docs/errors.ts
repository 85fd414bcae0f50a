import { errorTable, type ComeBack } from '@everywire/protocol';
import { markdownTable } from './markdown.ts';

const comeBackWords: Readonly<Record<ComeBack, string>> = {
  never: 'no',
  'without-cursor': 'without the cursor',
  'with-new-token': 'with a new token',
  'at-once': 'yes',
  'by-cursor': 'yes, with the cursor',
  elsewhere: 'yes, elsewhere or after the restart',
  later: 'later',
};

/** Every code with what HTTP and WebSocket make of it. */
export function errorsTable(): string {
  const rows = Object.entries(errorTable).map(([code, { title, http, close, comeBack }]) => [
    `\`${code}\``,
    title,
    String(http),
    String(close),
    comeBackWords[comeBack],
  ]);
  return markdownTable(['code', 'title', 'HTTP', 'WebSocket close', 'try again?'], rows);
}
