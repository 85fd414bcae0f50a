/**
 * Every bound, with its default and where the number comes from. Sizes, memory and time-outs hold always;
 * a bound that depends on another is checked by `checkLimits`.
 */
export interface Limits {
  /** Largest payload of a message. 64 KiB: what one frame of every wire carries comfortably; at most 1 MiB. */
  readonly payloadBytesMax: number;
  /** Channel and filter names, in bytes of UTF-8. */
  readonly nameBytesMax: number;
  readonly nameLevelsMax: number;
  /** Wildcards in one filter; hostile filters cost the matcher a path for each. */
  readonly filterWildcardsMax: number;
  /** Filters in one `/stream` request or on one connection. */
  readonly subscriptionsMax: number;
  /** HTTP header section (Node answers 431 beyond it) and number of header fields. */
  readonly headerBytesMax: number;
  readonly headerCountMax: number;
  readonly urlBytesMax: number;
  /** Requests of one connection that wait behind one that is being answered; each of them could be a long poll. */
  readonly pipelinedRequestsMax: number;
  /** Time for a complete request head, and for a peer to authenticate. */
  readonly handshakeTimeoutMs: number;
  /** A request body slower than this is answered 408: slow POST. */
  readonly bodyBytesPerSecondMin: number;
  /** Messages in one page of `GET /channels/x`, and in one catch-up read. */
  readonly pageMessagesMax: number;
  readonly pageMessagesDefault: number;
  /** Messages in one `POST /publish`. */
  readonly publishBatchMax: number;
  /** Bytes (payload and estimated envelope) in one batch: what a peer that stops reading can be left holding. */
  readonly batchBytesMax: number;
  /** A socket that has this much unsent is held at its cursor. */
  readonly outboundHeldFromBytes: number;
  /** Answers and deliveries a connection may leave unsent before the server stops reading from it. */
  readonly outboundBytesMax: number;
  /** Longest long poll. Proxies and load balancers commonly cut at 60 s. */
  readonly waitMsMax: number;
  readonly heartbeatEveryMs: number;
  /** The `retry:` of SSE and the least `Retry-After`, before jitter. */
  readonly retryAfterMs: number;
  /** WebSocket: frames per message, and unanswerable or malformed commands before the connection is closed. */
  readonly fragmentsMax: number;
  readonly badCommandsMax: number;
  /** Commands of one connection that wait for the store, and their bytes; at so many, the server stops reading from it. */
  readonly commandsInFlightMax: number;
  readonly commandsInFlightBytesMax: number;
  /** Namespaces that one Socket.IO connection may be in. */
  readonly ioNamespacesMax: number;
  /** Messages of a Socket.IO session that wait for an earlier one of another of its filters; all filters together. */
  readonly ioOrderBytesMax: number;
  /**
   * How long, and how many, Socket.IO sessions are kept for clients that come back: as long as messages are by default,
   * and some tens of megabytes. Beyond that the oldest go; before them, and also while there is room, the oldest of a
   * subject that has more than its own number, which holds while authentication is on and not for administrators.
   */
  readonly ioSessionAgeMsMax: number;
  readonly ioSessionsMax: number;
  readonly ioSessionsPerSubjectMax: number;
  /** How long a Socket.IO session that polls is kept when the server that knew it is gone. */
  readonly ioPollAgeMsMax: number;
  /** WebSocket pings a peer may send per second. */
  readonly pingsPerSecondMax: number;
  /** Time a peer has to answer our Close before the socket is ended. */
  readonly closeTimeoutMs: number;
  /** Nesting of JSON that the server itself parses. Payloads are never parsed. */
  readonly jsonDepthMax: number;
  /** Headers of a message: how many, and bytes of names and values together. */
  readonly messageHeadersMax: number;
  readonly messageHeaderBytesMax: number;
  readonly eventBytesMax: number;
  readonly typeBytesMax: number;
  readonly publishIdBytesMax: number;
  /** How long, and how many per channel, publish ids are remembered. */
  readonly publishIdAgeMsMax: number;
  readonly publishIdsMax: number;
  /** Memory for pages that several readers catch up through. */
  readonly pageCacheBytesMax: number;
  /** STOMP: headers of a frame, one line of them, its command, and names that clients choose (ids, transactions). */
  readonly stompHeadersMax: number;
  readonly stompLineBytesMax: number;
  readonly stompCommandBytesMax: number;
  readonly stompIdBytesMax: number;
  /** STOMP: messages delivered and not acknowledged, by default and as the most that `prefetch-count` can ask for. */
  readonly stompWindowMessagesDefault: number;
  readonly stompWindowMessagesMax: number;
  /** STOMP: open transactions of a connection, and what they hold together until COMMIT. */
  readonly stompTransactionsMax: number;
  readonly stompTransactionBytesMax: number;
  /** STOMP: the shortest and the longest time between heart-beats that is agreed to. */
  readonly stompBeatMsMin: number;
  readonly stompBeatMsMax: number;
  /**
   * STOMP: durable subscriptions that are kept, in all, and of one subject, which holds while authentication is on and not
   * for administrators; and for how long when nobody comes back for one.
   */
  readonly stompDurablesMax: number;
  readonly stompDurablesPerSubjectMax: number;
  readonly stompDurableIdleMs: number;
  /** Webhooks of one subject, which everybody is while authentication is off, and of all together. */
  readonly webhooksMax: number;
  readonly webhooksInAllMax: number;
  /** Webhooks: one attempt from the connection to the end of the answer, and how much of that is read. */
  readonly webhookTimeoutMs: number;
  readonly webhookAnswerBytesMax: number;
  /** Attempts to one host, and of one webhook, at the same time. */
  readonly webhooksPerHostMax: number;
  /** Messages that a webhook holds in memory while they wait for their turn in their channels. */
  readonly webhookWindowMessages: number;
  /** PUBLISH packets above QoS 0 that a client may have unanswered: the receive maximum, announced and enforced. */
  readonly mqttReceiveMax: number;
  /**
   * QoS 2 packet ids that a client of MQTT 3.1 or 3.1.1, which is told no receive maximum, may leave unreleased. It may have
   * written many PUBLISHes before it reads the first answer; some 100 bytes each.
   */
  readonly mqttUnreleasedMax: number;
  /** The same towards a client that takes more: what its session keeps of each is a place and a packet id. */
  readonly mqttInFlightMax: number;
  readonly mqttTopicAliasMax: number;
  /**
   * Longest keep alive of an MQTT client; 0: as it likes, also none. MQTT 5 clients that ask for more are told this one,
   * older ones are refused with return code 2, as Mosquitto does.
   */
  readonly mqttKeepAliveSecondsMax: number;
  /**
   * MQTT sessions that are kept for clients, open or away: in all, and of one subject, which holds while authentication is
   * on and not for administrators.
   */
  readonly sessionsMax: number;
  readonly sessionsPerSubjectMax: number;
  /** Channels, and retained messages, that the store keeps; more are refused until some are deleted. */
  readonly channelsMax: number;
  readonly retainedMax: number;
  /** Groups (`$share/<group>/<filter>`) that this server knows, with members or without. */
  readonly groupsMax: number;
  /** A group without members is forgotten after this long; a restart of the server begins it anew. */
  readonly groupIdleMs: number;
  /**
   * From the oldest message of a group that is not acknowledged to the newest that was delivered; at so many it waits for
   * that one. It bounds what is remembered of acknowledgements out of order: some 30 bytes each in the group's record.
   */
  readonly groupSpanMessagesMax: number;
  /** gRPC: calls on one HTTP/2 connection at the same time. */
  readonly grpcStreamsMax: number;
  /** HTTPS: requests on one HTTP/2 connection at the same time. Each may be a stream, and a browser has one connection. */
  readonly http2StreamsMax: number;
  /** gRPC: the deadline of a unary call that names none, and the time until the request of a `Subscribe` has come. */
  readonly grpcRequestTimeoutMs: number;
  /** Messages that one subscription may have delivered and not acknowledged: what it asks for, or this. */
  readonly windowMessagesDefault: number;
  readonly windowMessagesMax: number;
  /**
   * Bytes that one member of a group may have unacknowledged. They are kept in memory, to go to another member; elsewhere
   * a window keeps places alone.
   */
  readonly groupMemberBytesMax: number;
  /**
   * Connections whose peers have not shown a token: read from at a time by address (others of that address wait), and in all
   * with those that wait. These bounds and the following ones hold while authentication is on.
   */
  readonly unauthenticatedPerAddressMax: number;
  readonly unauthenticatedMax: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  readonly connectionsPerSubjectMax: number;
  /** What one connection may publish: so many a second for long, and so many at once; 0: as fast as it likes. */
  readonly publishesPerSecondMax: number;
  readonly publishesBurstMax: number;
  /** What one subject may publish over all its connections; twice as many at once. 0: as fast as it likes. */
  readonly subjectPublishesPerSecondMax: number;
  /** Subscribing, reading, listing and showing a new token on one connection, as for publishing. */
  readonly operationsPerSecondMax: number;
  readonly operationsBurstMax: number;
  /** A token, whole. Where it comes in a header, that has its own bound beside this one; in STOMP it is the smaller one. */
  readonly tokenBytesMax: number;
  /** Filters in each list of rights of a token. */
  readonly tokenRulesMax: number;
  /** Subject (`sub`) and id (`jti`) of a token. */
  readonly subjectBytesMax: number;
  /** Tokens that were verified lately are remembered by their hash, so many bytes of them: a signature costs 50 to 140 µs. */
  readonly verifiedTokenBytesMax: number;
  /** The key set of an issuer (`jwks`): its answer, the keys in it, and how long it may take. */
  readonly keySetBytesMax: number;
  readonly keySetKeysMax: number;
  readonly keySetTimeoutMs: number;
  /** A key set is fetched again when it is so old; earlier for a key that it lacks, though never sooner than this. */
  readonly keySetRefreshMs: number;
  readonly keySetRefetchMs: number;
  /** How long a ticket is good, and how many wait for their use: of one subject, and in all. */
  readonly ticketAgeMsMax: number;
  readonly ticketsPerSubjectMax: number;
  readonly ticketsMax: number;
  /** Revocations that are remembered, in memory too: some 20 MB. At so many, another is refused; none is forgotten for it. */
  readonly revocationsMax: number;
  /** How long draining may take before what is left is cut. */
  readonly drainMs: number;
}

const kib = 1024;

export const payloadBytesHardMax = 1024 * kib;

export const defaultLimits: Limits = {
  payloadBytesMax: 64 * kib,
  nameBytesMax: 255,
  nameLevelsMax: 16,
  filterWildcardsMax: 4,
  subscriptionsMax: 256,
  headerBytesMax: 16 * kib,
  headerCountMax: 100,
  urlBytesMax: 16 * kib,
  pipelinedRequestsMax: 32,
  handshakeTimeoutMs: 10_000,
  bodyBytesPerSecondMin: 256,
  pageMessagesMax: 1_000,
  pageMessagesDefault: 100,
  publishBatchMax: 1_000,
  batchBytesMax: 32 * kib,
  outboundHeldFromBytes: 8 * kib,
  outboundBytesMax: 1024 * kib,
  waitMsMax: 55_000,
  heartbeatEveryMs: 15_000,
  retryAfterMs: 2_000,
  fragmentsMax: 64,
  badCommandsMax: 10,
  commandsInFlightMax: 1_024,
  commandsInFlightBytesMax: 1024 * kib,
  ioNamespacesMax: 64,
  ioOrderBytesMax: 1024 * kib,
  ioSessionAgeMsMax: 7 * 24 * 3_600_000,
  ioSessionsMax: 100_000,
  ioSessionsPerSubjectMax: 10_000,
  ioPollAgeMsMax: 3_600_000,
  pingsPerSecondMax: 20,
  closeTimeoutMs: 5_000,
  jsonDepthMax: 32,
  messageHeadersMax: 32,
  messageHeaderBytesMax: 8 * kib,
  eventBytesMax: 255,
  typeBytesMax: 255,
  publishIdBytesMax: 255,
  publishIdAgeMsMax: 24 * 3_600_000,
  publishIdsMax: 1_000_000,
  pageCacheBytesMax: 8 * 1024 * kib,
  stompHeadersMax: 64,
  stompLineBytesMax: 4 * kib,
  stompCommandBytesMax: 32,
  stompIdBytesMax: 255,
  stompWindowMessagesDefault: 256,
  stompWindowMessagesMax: 10_000,
  stompTransactionsMax: 64,
  stompTransactionBytesMax: 1024 * kib,
  stompBeatMsMin: 1_000,
  stompBeatMsMax: 18 * 3_600_000,
  stompDurablesMax: 10_000,
  stompDurablesPerSubjectMax: 1_000,
  stompDurableIdleMs: 30 * 24 * 3_600_000,
  webhooksMax: 100,
  webhooksInAllMax: 10_000,
  webhookTimeoutMs: 15_000,
  webhookAnswerBytesMax: 64 * kib,
  webhooksPerHostMax: 4,
  webhookWindowMessages: 8,
  mqttReceiveMax: 64,
  mqttUnreleasedMax: 4_096,
  mqttInFlightMax: 256,
  mqttTopicAliasMax: 16,
  mqttKeepAliveSecondsMax: 0,
  sessionsMax: 10_000,
  sessionsPerSubjectMax: 1_000,
  channelsMax: 1_000_000,
  retainedMax: 10_000,
  groupsMax: 10_000,
  groupIdleMs: 7 * 24 * 3_600_000,
  groupSpanMessagesMax: 16_384,
  grpcStreamsMax: 100,
  http2StreamsMax: 100,
  grpcRequestTimeoutMs: 60_000,
  windowMessagesDefault: 64,
  windowMessagesMax: 10_000,
  groupMemberBytesMax: 1024 * kib,
  unauthenticatedPerAddressMax: 64,
  unauthenticatedMax: 2_000,
  connectionsMax: 100_000,
  connectionsPerAddressMax: 20_000,
  connectionsPerSubjectMax: 10_000,
  publishesPerSecondMax: 100,
  publishesBurstMax: 200,
  subjectPublishesPerSecondMax: 1_000,
  operationsPerSecondMax: 500,
  operationsBurstMax: 2_000,
  tokenBytesMax: 8 * kib,
  tokenRulesMax: 256,
  subjectBytesMax: 255,
  verifiedTokenBytesMax: 8 * 1024 * kib,
  keySetBytesMax: 256 * kib,
  keySetKeysMax: 100,
  keySetTimeoutMs: 10_000,
  keySetRefreshMs: 10 * 60_000,
  keySetRefetchMs: 30_000,
  ticketAgeMsMax: 30_000,
  ticketsPerSubjectMax: 64,
  ticketsMax: 10_000,
  revocationsMax: 100_000,
  drainMs: 10_000,
};

/** Throws when bounds contradict each other: a programmer's or an operator's mistake, found at start. */
export function checkLimits(limits: Limits): Limits {
  for (const [name, value] of Object.entries(limits)) {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`limits.${name} must be a whole number ≥ 0`);
  }
  if (limits.payloadBytesMax > payloadBytesHardMax) {
    throw new RangeError(`limits.payloadBytesMax is at most ${payloadBytesHardMax}`);
  }
  if (limits.pageMessagesDefault > limits.pageMessagesMax) {
    throw new RangeError('limits.pageMessagesDefault must not exceed limits.pageMessagesMax');
  }
  if (limits.stompLineBytesMax >= limits.headerBytesMax) {
    throw new RangeError('limits.headerBytesMax must hold more than one line of STOMP');
  }
  if (limits.outboundHeldFromBytes + limits.batchBytesMax > limits.outboundBytesMax) {
    throw new RangeError('limits.outboundBytesMax must hold one batch beside outboundHeldFromBytes');
  }
  return limits;
}
