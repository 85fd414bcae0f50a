import type { HistoryChecker, Verdict } from '../checker/checker.ts';
import type { Sighting } from '../checker/history.ts';
import type { StoreProcess } from './store-process.ts';

/** Gives what a process wrote down to the checker. Answers the places of what was accepted. */
export function recordHistory(checker: HistoryChecker, process: StoreProcess): readonly Sighting[] {
  const accepted: Sighting[] = [];
  for (const event of process.takeHistory()) {
    checker.record(event);
    if (event.kind === 'accepted') accepted.push(event);
  }
  return accepted;
}

/** Everything that is in an open store, as the final reads of a run; then the verdict. */
export async function judge(checker: HistoryChecker, process: StoreProcess): Promise<Verdict> {
  recordHistory(checker, process);
  for (const { channel, firstOffset } of await process.call('channels', null)) {
    const { messages } = await process.call('read', { filter: channel });
    checker.finalRead({ channel, trimmedThrough: firstOffset - 1, messages });
  }
  const { messages } = await process.call('read', { filter: '**' });
  checker.finalReadOfAll(messages);
  return checker.verdict();
}
