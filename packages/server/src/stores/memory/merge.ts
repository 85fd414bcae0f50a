import type { Message } from '../../core/message.ts';
import type { ChannelLog } from './channel-log.ts';

interface Head {
  readonly log: ChannelLog;
  index: number;
  message: Message;
}

/**
 * Messages of several channels in seq order, from the indexes given by `startOf`; `step` -1 goes from new to old.
 * A binary heap: reading costs log(channels) per message, and the channels are only looked at when it is their turn.
 */
export function* mergeLogs(
  logs: readonly ChannelLog[],
  startOf: (log: ChannelLog) => number,
  step: 1 | -1 = 1,
): Generator<Message, void, undefined> {
  if (logs.length === 1) {
    const log = logs[0]!;
    for (let index = startOf(log); ; index += step) {
      const message = log.at(index);
      if (message === undefined) return;
      yield message;
    }
  }
  const heap: Head[] = [];
  for (const log of logs) {
    const index = startOf(log);
    const message = log.at(index);
    if (message !== undefined) heap.push({ log, index, message });
  }
  heap.sort((a, b) => step * (a.message.seq - b.message.seq));
  while (heap.length > 0) {
    const head = heap[0]!;
    yield head.message;
    head.index += step;
    const next = head.log.at(head.index);
    if (next !== undefined) {
      head.message = next;
    } else {
      const last = heap.pop()!;
      if (last === head) return;
      heap[0] = last;
    }
    sink(heap, step);
  }
}

function sink(heap: Head[], step: number): void {
  let at = 0;
  const moving = heap[0]!;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    const right = heap[child + 1];
    if (right !== undefined && step * (right.message.seq - heap[child]!.message.seq) < 0) child += 1;
    if (step * (heap[child]!.message.seq - moving.message.seq) >= 0) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = moving;
}
