import type { FinalRead, HistoryEvent, Rule, Sighting } from './checker/history.ts';

/** A history made by hand, with the one rule it breaks; `undefined` when it is a good one. */
export interface ForgedHistory {
  readonly name: string;
  readonly breaks: Rule | undefined;
  readonly events: readonly HistoryEvent[];
  readonly finalReads: readonly FinalRead[];
  readonly finalReadOfAll?: readonly Sighting[];
}

/** A message of channel `a` whose seq, tag and value follow from its offset, but for what is said otherwise. */
function message(offset: number, other: Partial<Sighting> = {}): Sighting {
  const channel = other.channel ?? 'a';
  const seq = other.seq ?? offset;
  return { channel, offset, epoch: 'e1', seq, tag: `t${seq}`, value: `${channel}${offset}`, ...other };
}

function messages(count: number): readonly Sighting[] {
  return Array.from({ length: count }, (_, at) => message(at + 1));
}

function finalRead(kept: readonly Sighting[], other: Partial<FinalRead> = {}): FinalRead {
  return { channel: kept[0]?.channel ?? 'a', trimmedThrough: 0, messages: kept, ...other };
}

function published(seen: Sighting, sentNs: number, answeredNs = sentNs + 1): readonly HistoryEvent[] {
  const { channel, value } = seen;
  return [
    { kind: 'publish', atNs: sentNs, client: 'p', channel, value },
    { kind: 'accepted', atNs: answeredNs, ...seen },
  ];
}

function allPublished(all: readonly Sighting[]): readonly HistoryEvent[] {
  return all.flatMap((seen) => published(seen, seen.seq * 10));
}

function started(filters: readonly string[] = ['a'], afterSeq: number | undefined = 0): HistoryEvent {
  return { kind: 'start', atNs: 0, subscriber: 's', filters, afterSeq };
}

function delivered(seen: readonly Sighting[], atNs = 1_000): readonly HistoryEvent[] {
  return seen.map((sighting) => ({ kind: 'delivered', atNs, subscriber: 's', ...sighting }));
}

function gap(from: number, to: number, nextSeq = to, reason = 'retention', channel = 'a'): HistoryEvent {
  return { kind: 'gap', atNs: 900, subscriber: 's', channel, from, to, reason, nextSeq };
}

function marked(offset: number, atNs: number, doneNs = atNs + 1): HistoryEvent {
  return { kind: 'mark', user: 'u', channel: 'a', offset, atNs, doneNs };
}

function unread(count: number, atNs: number, doneNs = atNs + 1): HistoryEvent {
  return { kind: 'unread', user: 'u', channels: ['a'], count, atNs, doneNs };
}

const calm: HistoryEvent = { kind: 'calm', atNs: 10_000 };
const stopped: HistoryEvent = { kind: 'stop', atNs: 2_000, subscriber: 's' };
const three = messages(3);
const [first, second, third] = [three[0]!, three[1]!, three[2]!];
/** Two channels in one order of the store: a1 b1 a2 b2. */
const mixed = [
  message(1, { seq: 1 }),
  message(1, { seq: 2, channel: 'b' }),
  message(2, { seq: 3 }),
  message(2, { seq: 4, channel: 'b' }),
];
const mixedReads = ['a', 'b'].map((channel) => finalRead(mixed.filter((seen) => seen.channel === channel)));
const seconds = 1e9;

export const forgedHistories: readonly ForgedHistory[] = [
  {
    name: 'everything published is stored and delivered once',
    breaks: undefined,
    events: [...allPublished(three), started(), ...delivered(three), calm],
    finalReads: [finalRead(three)],
    finalReadOfAll: three,
  },

  // Rule 1: lost
  {
    name: 'an accepted message below the declared trim edge is absent',
    breaks: undefined,
    events: allPublished(three),
    finalReads: [finalRead([second, third], { trimmedThrough: 1 })],
  },
  {
    name: 'an accepted message of a channel that was deleted is absent',
    breaks: undefined,
    events: [...allPublished(three), { kind: 'dropped', atNs: 500, channel: 'a' }],
    finalReads: [],
  },
  {
    name: 'the last accepted message is absent',
    breaks: 'lost',
    events: allPublished(three),
    finalReads: [finalRead([first, second])],
  },
  {
    name: 'a whole channel is absent',
    breaks: 'lost',
    events: allPublished(three),
    finalReads: [],
  },

  // Rule 2: duplicate
  {
    name: 'a repeated publish is answered with the first place',
    breaks: undefined,
    events: [...published(first, 10), ...published(first, 30)],
    finalReads: [finalRead([first])],
  },
  {
    name: 'a publish id is stored at two offsets',
    breaks: 'duplicate',
    events: [
      { kind: 'publish', atNs: 1, client: 'p', channel: 'a', value: 'a1' },
      { kind: 'unknown', atNs: 2, value: 'a1' },
    ],
    finalReads: [finalRead([first, message(2, { value: 'a1' })])],
  },
  {
    name: 'a repeated publish is answered with another place',
    breaks: 'duplicate',
    events: [...published(first, 10), ...published(message(2, { value: 'a1' }), 30)],
    finalReads: [finalRead([first, message(2, { value: 'a1' })])],
  },

  // Rule 3: divergence
  {
    name: 'an epoch ends and another continues from there',
    breaks: undefined,
    events: [started(), ...delivered([message(1, { epoch: 'e1' })]), stopped],
    finalReads: [finalRead([message(1, { epoch: 'e1' }), message(2, { epoch: 'e2', seq: 2 })])],
  },
  {
    name: 'one offset of one epoch has two values',
    breaks: 'divergence',
    events: [started(), ...delivered([message(1, { value: 'other' })])],
    finalReads: [finalRead([first])],
  },
  {
    name: 'one seq of one epoch names messages of two channels',
    breaks: 'divergence',
    events: [],
    finalReads: [finalRead([first]), finalRead([message(1, { channel: 'b' })])],
  },
  {
    name: 'the same text under another tag',
    breaks: 'divergence',
    events: [...published(first, 10), started(), ...delivered([message(1, { tag: 'other' })])],
    finalReads: [finalRead([first])],
  },
  {
    name: 'bytes that no client published',
    breaks: 'divergence',
    events: published(first, 10),
    finalReads: [finalRead([first, message(2, { value: 'torn' })])],
  },

  // Rule 4: aborted read
  {
    name: 'a refused publish is absent; one refused and then accepted is there',
    breaks: undefined,
    events: [
      { kind: 'publish', atNs: 1, client: 'p', channel: 'a', value: 'never' },
      { kind: 'refused', atNs: 2, value: 'never' },
      { kind: 'publish', atNs: 3, client: 'p', channel: 'a', value: 'a1' },
      { kind: 'refused', atNs: 4, value: 'a1' },
      ...published(first, 5),
    ],
    finalReads: [finalRead([first])],
  },
  {
    name: 'a publish without an answer is found stored',
    breaks: undefined,
    events: [
      { kind: 'publish', atNs: 1, client: 'p', channel: 'a', value: 'a1' },
      { kind: 'unknown', atNs: 2, value: 'a1' },
    ],
    finalReads: [finalRead([first])],
  },
  {
    name: 'a refused publish is stored',
    breaks: 'aborted read',
    events: [
      { kind: 'publish', atNs: 1, client: 'p', channel: 'a', value: 'a1' },
      { kind: 'refused', atNs: 2, value: 'a1' },
    ],
    finalReads: [finalRead([first])],
  },

  // Rule 5: order
  {
    name: 'two publishes that overlap in time are stored in either order',
    breaks: undefined,
    events: [...published(second, 10, 40), ...published(first, 20, 30)],
    finalReads: [finalRead([first, second])],
  },
  {
    name: 'a message accepted before another was sent is stored behind it',
    breaks: 'order',
    events: [...published(second, 10, 20), ...published(first, 30, 40)],
    finalReads: [finalRead([first, second])],
  },
  {
    name: 'the messages of a pipelined connection are stored in another order',
    breaks: 'order',
    events: [
      { kind: 'publish', atNs: 10, client: 'p', channel: 'a', value: 'a2', lane: 'c1' },
      { kind: 'publish', atNs: 11, client: 'p', channel: 'a', value: 'a1', lane: 'c1' },
      { kind: 'accepted', atNs: 20, ...first },
      { kind: 'accepted', atNs: 21, ...second },
    ],
    finalReads: [finalRead([first, second])],
  },
  {
    name: 'seq falls while offsets rise',
    breaks: 'order',
    events: [],
    finalReads: [finalRead([message(1, { seq: 7 }), message(2, { seq: 5 })])],
  },

  // Rule 6: hole
  {
    name: 'an offset is absent because its message may have expired',
    breaks: undefined,
    events: [
      ...published(first, 10),
      { kind: 'publish', atNs: 20, client: 'p', channel: 'a', value: 'a2', mayExpire: true },
      { kind: 'accepted', atNs: 21, ...second },
      ...published(third, 30),
    ],
    finalReads: [finalRead([first, third])],
  },
  {
    name: 'the final offsets have a hole',
    breaks: 'hole',
    events: [],
    finalReads: [finalRead([first, third])],
  },
  {
    name: 'the wildcard read falls back in seq',
    breaks: 'hole',
    events: [],
    finalReads: mixedReads,
    finalReadOfAll: [mixed[0]!, mixed[2]!, mixed[1]!, mixed[3]!],
  },
  {
    name: 'the wildcard read lacks a message',
    breaks: 'hole',
    events: [],
    finalReads: mixedReads,
    finalReadOfAll: [mixed[0]!, mixed[1]!, mixed[3]!],
  },

  // Rule 7: subscriber
  {
    name: 'a repeat carries its mark',
    breaks: undefined,
    events: [
      started(),
      ...delivered([first, second]),
      { kind: 'delivered', atNs: 1_001, subscriber: 's', ...second, redelivered: true },
      ...delivered([third]),
    ],
    finalReads: [finalRead(three)],
  },
  {
    name: 'a reader that goes back to an older cursor reads again from there',
    breaks: undefined,
    events: [started(), ...delivered(three), started(['a'], 1), ...delivered([second, third])],
    finalReads: [finalRead(three)],
  },
  {
    name: 'what was acked out of order does not come again after going back',
    breaks: undefined,
    events: [
      started(),
      ...delivered(three),
      { kind: 'start', atNs: 2_000, subscriber: 's', filters: ['a'], afterSeq: 0, processed: [2] },
      ...delivered([first, third]),
    ],
    finalReads: [finalRead(three)],
  },
  {
    name: 'a message is delivered twice',
    breaks: 'subscriber',
    events: [started(), ...delivered([first, second, second, third])],
    finalReads: [finalRead(three)],
  },
  {
    name: 'two messages change places',
    breaks: 'subscriber',
    events: [started(), ...delivered([first, second]), stopped, ...delivered([first])],
    finalReads: [finalRead(three)],
  },
  {
    name: 'a wildcard subscriber is given an older seq of another channel',
    breaks: 'subscriber',
    events: [started(['**']), ...delivered([...mixed, mixed[1]!])],
    finalReads: mixedReads,
  },
  {
    name: 'a channel that the subscriber does not follow',
    breaks: 'subscriber',
    events: [started(['a']), ...delivered(mixed)],
    finalReads: mixedReads,
  },

  // Rule 8: dirty delivery
  {
    name: 'a delivered message was trimmed since',
    breaks: undefined,
    events: [started(), ...delivered(three)],
    finalReads: [finalRead([third], { trimmedThrough: 2 })],
  },
  {
    name: 'a delivered message is not in the final read',
    breaks: 'dirty delivery',
    events: [started(), ...delivered(three)],
    finalReads: [finalRead([first, second])],
  },

  // Rule 9: silent gap and false gap
  {
    name: 'a trimmed range is declared',
    breaks: undefined,
    events: [...allPublished(three), started(), gap(1, 2), ...delivered([third])],
    finalReads: [finalRead([third], { trimmedThrough: 2 })],
  },
  {
    name: 'a range is missing from deliveries without notice',
    breaks: 'silent gap',
    events: [started(), ...delivered([first, third])],
    finalReads: [finalRead(three)],
  },
  {
    name: 'a trimmed range is missing without notice',
    breaks: 'silent gap',
    events: [...allPublished(three), started(), ...delivered([third])],
    finalReads: [finalRead([third], { trimmedThrough: 2 })],
  },
  {
    name: 'a declared range is shorter than what is missing',
    breaks: 'silent gap',
    events: [...allPublished(three), started(), gap(1, 1), ...delivered([third])],
    finalReads: [finalRead([third], { trimmedThrough: 2 })],
  },
  {
    name: 'a wildcard subscriber reads past a message of a channel it never heard of',
    breaks: 'silent gap',
    events: [started(['**']), ...delivered([mixed[0]!, mixed[2]!]), stopped],
    finalReads: mixedReads,
  },
  {
    name: 'a reader resumes one place too far',
    breaks: 'silent gap',
    events: [started(), ...delivered([first]), started(['a'], 2), ...delivered([third])],
    finalReads: [finalRead(three)],
  },
  {
    name: 'a gap is declared although the range exists',
    breaks: 'false gap',
    events: [started(), gap(1, 2), ...delivered([third])],
    finalReads: [finalRead(three)],
  },
  {
    name: 'a message comes after it was declared gone',
    breaks: 'false gap',
    events: [...allPublished(three), started(), gap(1, 2), ...delivered([second, third])],
    finalReads: [finalRead([third], { trimmedThrough: 2 })],
  },
  {
    name: 'a cursor is called restored although its message is still there',
    breaks: 'false gap',
    events: [
      started(),
      ...delivered([first]),
      { kind: 'gap', atNs: 900, subscriber: 's', channel: 'a', reason: 'restored', nextSeq: 1 },
      ...delivered([second, third]),
    ],
    finalReads: [finalRead(three)],
  },
  {
    name: 'the log was put back to an older copy and readers got a notice',
    breaks: undefined,
    events: [
      started(),
      ...delivered([first]),
      { kind: 'start', atNs: 1_050, subscriber: 's', filters: ['a'], afterSeq: 1 },
      { kind: 'gap', atNs: 1_100, subscriber: 's', channel: 'a', reason: 'restored', nextSeq: 2 },
      ...delivered([message(3, { epoch: 'e2', seq: 3 })], 1_200),
    ],
    finalReads: [finalRead([message(3, { epoch: 'e2', seq: 3 })], { trimmedThrough: 2 })],
  },

  // Rule 10: unread
  {
    name: 'unread is head minus read position, with any overlap',
    breaks: undefined,
    events: [
      ...allPublished(three),
      unread(3, 100),
      marked(2, 110),
      unread(1, 120),
      marked(1, 130),
      unread(1, 140),
      marked(3, 150, 170),
      unread(1, 155),
      unread(0, 160),
    ],
    finalReads: [finalRead(three)],
  },
  {
    name: 'unread is one too many',
    breaks: 'unread',
    events: [...allPublished(three), marked(2, 110), unread(2, 120)],
    finalReads: [finalRead(three)],
  },
  {
    name: 'a read position moved back',
    breaks: 'unread',
    events: [...allPublished(three), marked(3, 110), marked(1, 120), unread(2, 130)],
    finalReads: [finalRead(three)],
  },

  // Rule 11: liveness
  {
    name: 'a subscriber reaches the head in time; one that stopped need not',
    breaks: undefined,
    events: [
      started(),
      ...delivered(three, 4.9 * seconds),
      { kind: 'start', atNs: 0, subscriber: 'gone', filters: ['a'], afterSeq: 0 },
      { kind: 'stop', atNs: 5, subscriber: 'gone' },
      calm,
    ],
    finalReads: [finalRead(three)],
  },
  {
    name: 'a subscriber never reaches the head',
    breaks: 'liveness',
    events: [started(), ...delivered([first, second]), calm],
    finalReads: [finalRead(three)],
  },
  {
    name: 'a subscriber never hears anything',
    breaks: 'liveness',
    events: [started(), calm],
    finalReads: [finalRead(three)],
  },
  {
    name: 'a subscriber reaches the head too late',
    breaks: 'liveness',
    events: [started(), ...delivered([first, second]), calm, ...delivered([third], 5.1 * seconds)],
    finalReads: [finalRead(three)],
  },
];
