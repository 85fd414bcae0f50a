import type { Message } from '../core/log/message.ts';

interface Head {
  readonly rest: Iterator<Message>;
  message: Message;
}

/**
 * Messages of several channels in seq order; `step` -1 goes from new to old, as the sources then must. A binary heap:
 * reading costs log(channels) per message, and a channel is only read on when it is its turn. A reader that stops early
 * releases every source: an LMDB cursor left in mid-range would keep freed pages from being used again, and the file
 * would grow for as long as the process lives.
 */
export function* mergeBySeq(
  sources: readonly Iterator<Message>[],
  step: 1 | -1 = 1,
): Generator<Message, void, undefined> {
  const heap: Head[] = [];
  try {
    for (const rest of sources) {
      const first = rest.next();
      if (first.done !== true) heap.push({ rest, message: first.value });
    }
    heap.sort((a, b) => step * (a.message.seq - b.message.seq));
    while (heap.length > 0) {
      const head = heap[0]!;
      yield head.message;
      const next = head.rest.next();
      if (next.done !== true) {
        head.message = next.value;
      } else {
        const last = heap.pop()!;
        if (last === head) return;
        heap[0] = last;
      }
      if (heap.length > 1) sink(heap, step);
    }
  } finally {
    for (const rest of sources) rest.return?.();
  }
}

/** The first message of a source, which is then released. */
export function firstOf(source: Iterator<Message>): Message | undefined {
  const first = source.next();
  source.return?.();
  return first.done === true ? undefined : first.value;
}

/** Moves the first head down to its place in the heap. */
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
