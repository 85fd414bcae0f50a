/** One bound that an operator may set. Its name carries its unit: `payloadBytesMax`, `waitMsMax`. */
export interface LimitDeclaration {
  readonly default: number;
  /** Its sentence in the documentation. Without one, it shares the sentence of the limit above it. */
  readonly about?: string;
  /** The largest value that an operator may set, where there is one. */
  readonly max?: number;
}

export type LimitDeclarations = Readonly<Record<string, LimitDeclaration>>;

/** The values of the limits that are declared in `D`. */
export type LimitsOf<D extends LimitDeclarations> = { readonly [K in keyof D]: number };

export function defaultsOf<D extends LimitDeclarations>(declarations: D): LimitsOf<D> {
  const defaults = Object.entries(declarations).map(([name, declaration]) => [name, declaration.default]);
  return Object.fromEntries(defaults) as LimitsOf<D>;
}

const kib = 1024;

export const payloadBytesHardMax = 1024 * kib;

/** Sizes, memory and time-outs hold always; rates and numbers of connections hold while authentication is on. */
export const coreLimits = {
  payloadBytesMax: {
    max: payloadBytesHardMax,
    default: 1024 * kib,
    about:
      'Largest payload of a message. Bounds of frames, bodies and transactions follow it: each takes the largest ' +
      'message in its longest form, in JSON six times as many bytes.',
  },
  nameBytesMax: {
    default: 255,
    about: 'Channel and filter names, in bytes of UTF-8.',
  },
  nameLevelsMax: { default: 16 },
  filterWildcardsMax: {
    default: 4,
    about: 'Wildcards in one filter; hostile filters cost the matcher a path for each.',
  },
  subscriptionsMax: {
    default: 4_096,
    about:
      'Filters in one `/stream` request or on one connection; Home Assistant subscribes to each of its ' +
      'entities.',
  },
  handshakeTimeoutMs: {
    default: 10_000,
    about: 'Time for a complete request head, and for a peer to authenticate.',
  },
  pageMessagesMax: {
    default: 1_000,
    about: 'Messages in one page of `GET /channels/x`, and in one catch-up read.',
  },
  pageMessagesDefault: { default: 100 },
  publishBatchMax: {
    default: 1_000,
    about: 'Messages in one `POST /publish`.',
  },
  batchBytesMax: {
    default: 32 * kib,
    about:
      'Bytes (payload and estimated envelope) in one batch, which may be one larger message: the most that the ' +
      'server holds for a peer that stops reading.',
  },
  outboundHeldFromBytes: {
    default: 8 * kib,
    about: 'A socket that has this much unsent is held at its cursor.',
  },
  outboundBytesMax: {
    default: 1024 * kib,
    about:
      'Answers that a connection may leave unsent beside the batch that it was sent; with more it is cut. Also the ' +
      'bytes of a page.',
  },
  messageHeadersMax: {
    default: 32,
    about: 'Headers of a message: how many, and bytes of names and values together.',
  },
  messageHeaderBytesMax: { default: 8 * kib },
  eventBytesMax: { default: 255 },
  typeBytesMax: { default: 255 },
  publishIdBytesMax: { default: 255 },
  publishIdAgeMsMax: {
    default: 24 * 3_600_000,
    about: 'How long, and how many per channel, publish ids are remembered.',
  },
  publishIdsMax: { default: 1_000_000 },
  pageCacheBytesMax: {
    default: 8 * 1024 * kib,
    about: 'Memory for pages that several readers catch up through.',
  },
  channelsMax: {
    default: 1_000_000,
    about: 'Channels, and retained messages, that the store keeps; more are refused until some are deleted.',
  },
  retainedMax: { default: 10_000 },
  groupsMax: {
    default: 10_000,
    about: 'Groups (`$share/<group>/<filter>`) that this server knows, with members or without.',
  },
  groupIdleMs: {
    default: 7 * 24 * 3_600_000,
    about: 'A group without members is forgotten after this long; a restart of the server begins it anew.',
  },
  groupSpanMessagesMax: {
    default: 16_384,
    about:
      'Messages that the members of a group have and have not acknowledged, all together. Each may leave ' +
      "a range of acknowledgements behind it, of some 60 bytes in the group's record.",
  },
  windowMessagesDefault: {
    default: 64,
    about: 'Messages that one subscription may have delivered and not acknowledged, by default and at most.',
  },
  windowMessagesMax: { default: 10_000 },
  groupMemberBytesMax: {
    default: 1024 * kib,
    about:
      'Bytes that one member of a group may have unacknowledged. They are kept in memory, to go to another ' +
      'member; elsewhere a window keeps places alone.',
  },
  unauthenticatedPerAddressMax: {
    default: 64,
    about:
      'Connections whose peers have not shown a token: read from at a time by address (others of that ' +
      'address wait), and in all with those that wait. These bounds and the following ones hold while ' +
      'authentication is on.',
  },
  unauthenticatedMax: { default: 2_000 },
  connectionsMax: { default: 100_000 },
  connectionsPerAddressMax: { default: 20_000 },
  connectionsPerSubjectMax: { default: 10_000 },
  publishesPerSecondMax: {
    default: 1_000,
    about:
      'Messages that one connection may publish: so many a second for long, and so many at once. A batch ' +
      'counts each of its messages. 0: as fast as it likes.',
  },
  publishesBurstMax: { default: 2_000 },
  subjectPublishesPerSecondMax: {
    default: 5_000,
    about:
      'What one subject may publish over all its connections; twice as many at once. 0: as fast as it likes.',
  },
  operationsPerSecondMax: {
    default: 500,
    about: 'Subscribing, reading, listing and showing a new token on one connection, as for publishing.',
  },
  operationsBurstMax: { default: 2_000 },
  subjectBytesMax: {
    default: 255,
    about: 'Subject (`sub`) and id (`jti`) of a token.',
  },
  retryAfterMs: {
    default: 2_000,
    about:
      'The shortest time after which the server asks a peer to reconnect or to try again, before jitter.',
  },
  drainMs: {
    default: 10_000,
    about: 'How long draining may take before what is left is cut.',
  },
} satisfies LimitDeclarations;

/** What the core reads. Each transport and each other part adds its own in the `limits.ts` of its folder. */
export type Limits = LimitsOf<typeof coreLimits>;
