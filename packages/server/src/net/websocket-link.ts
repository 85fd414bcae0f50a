import { isUtf8 } from 'node:buffer';
import { frame, opcodes } from '@everywire/wires/websocket';
import type { WebSocketHandlers, WebSocketPeer } from '../websocket/peer.ts';
import { answersFlushedFrom, joinAnswers } from './answers.ts';
import type { Deadline } from '../core/deadlines.ts';
import type { GroupedLink, LinkGroup } from './link-group.ts';

/** Facts about the protocol above that the handlers of a peer need. */
export interface WebSocketLinkRules {
  /** Whether text frames carry the protocol's bytes too; otherwise one ends the connection with 1003. */
  readonly isTextData: boolean;
  /** The kind of frame that `answer` makes. Bytes that are not UTF-8 are always sent as binary. */
  readonly answersAs: 'text' | 'binary';
}

/** Close codes of a normal close by the peer (RFC 6455 §7.4.1); 1005 is a Close without a code. */
const goodbyes: ReadonlySet<number> = new Set([1000, 1001, 1005]);
const wrongKindCode = 1003;
const normalCode = 1000;

export interface WebSocketLinkOptions<Context> {
  readonly group: LinkGroup<Context>;
  readonly rules: WebSocketLinkRules;
  readonly address: string | undefined;
  readonly connection: string | undefined;
  readonly certificate: string | undefined;
  readonly ticket: string | undefined;
  readonly protocol: string | undefined;
}

/** One WebSocket connection whose messages are chunks of a stream of bytes. The peer owns frames, pings and Close. */
export class WebSocketLink<Context> implements GroupedLink<Context> {
  readonly kind = 'websocket';
  readonly address: string | undefined;
  readonly connection: string | undefined;
  readonly certificate: string | undefined;
  readonly ticket: string | undefined;
  readonly protocol: string | undefined;
  readonly #group: LinkGroup<Context>;
  readonly #rules: WebSocketLinkRules;
  #context: Context | undefined;
  /** Undefined until the handshake is answered. */
  #peer: WebSocketPeer<WebSocketLink<Context>> | undefined;
  #isOver = false;
  #isEnding = false;
  #answers: Buffer[] | undefined;
  #answerBytes = 0;
  #deadline: Deadline | undefined;

  constructor({
    group,
    rules,
    address,
    connection,
    certificate,
    ticket,
    protocol,
  }: WebSocketLinkOptions<Context>) {
    this.#group = group;
    this.#rules = rules;
    this.address = address;
    this.connection = connection;
    this.certificate = certificate;
    this.ticket = ticket;
    this.protocol = protocol;
  }

  get context(): Context {
    return this.#context!;
  }

  get isOpen(): boolean {
    return !this.#isOver;
  }

  get unsentBytes(): number {
    return (this.#peer?.unsentBytes ?? 0) + this.#answerBytes;
  }

  /** The first half: makes the context. Returns false if the link is refused. */
  open(): boolean {
    this.#context = this.#group.open(this);
    if (this.#context !== undefined) return true;
    this.#isOver = true;
    this.#deadline?.cancel();
    return false;
  }

  /** The second half: the handshake is answered. */
  begin(peer: WebSocketPeer<WebSocketLink<Context>>): void {
    this.#peer = peer;
  }

  send(ready: Buffer): boolean {
    if (this.#isOver || this.#peer === undefined) return true;
    this.flush();
    return this.#peer.send(ready);
  }

  answer(bytes: Buffer): void {
    if (this.#isOver) return;
    const isText = this.#rules.answersAs === 'text' && isUtf8(bytes);
    const framed = frame(isText ? opcodes.text : opcodes.binary, bytes);
    if (this.#answers === undefined) {
      this.#answers = [framed];
      this.#group.flushSoon(this);
    } else {
      this.#answers.push(framed);
    }
    this.#answerBytes += framed.length;
    if (this.#answerBytes >= answersFlushedFrom) this.flush();
  }

  flush(): void {
    const answers = this.#answers;
    if (answers === undefined || this.#peer === undefined) return;
    const joined = joinAnswers(answers, this.#answerBytes);
    this.#answers = undefined;
    this.#answerBytes = 0;
    this.#peer.answer(joined);
  }

  pause(): void {
    this.#peer?.pause();
  }

  resume(): void {
    this.#peer?.resume();
  }

  deadline(delayMs: number | undefined): void {
    if (delayMs === undefined) this.#deadline?.cancel();
    else if (this.#isOver) return;
    else if (this.#deadline === undefined) this.#deadline = this.#group.deadlines.start(this, delayMs);
    else this.#deadline.restart(delayMs);
  }

  trust(): void {
    this.#peer?.trust();
  }

  end(code = normalCode, reason = ''): void {
    if (this.#isOver) return;
    this.flush();
    this.#isEnding = true;
    this.#peer?.close(code, reason);
  }

  destroy(): void {
    this.#peer?.destroy();
    this.#leave('lost');
  }

  /** Called by the peer of this link. */
  receive(bytes: Buffer): void {
    if (!this.#isOver) this.#group.hand(this, bytes);
  }

  /** As above. */
  receiveText(text: Buffer): void {
    if (this.#rules.isTextData) this.receive(text);
    else this.end(wrongKindCode, 'unsupported: this protocol needs binary frames.');
  }

  /** As above. */
  drained(): void {
    if (!this.#isOver) this.#group.handlers.onDrain(this);
  }

  /** As above. Nothing more can be sent to it; its socket may still be open. */
  closed(code: number): void {
    this.#leave(goodbyes.has(code) || this.#isEnding ? 'left' : 'lost');
  }

  #leave(how: 'left' | 'lost'): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#answers = undefined;
    this.#answerBytes = 0;
    this.#deadline?.cancel();
    this.#group.handlers.onClose(this, how);
  }
}

/** The work of peers for their links. */
export function peerHandlers<Context>(): WebSocketHandlers<WebSocketLink<Context>> {
  return {
    onText: ({ context }, text) => context.receiveText(text),
    onBinary: ({ context }, data) => context.receive(data),
    onDrain: ({ context }) => context.drained(),
    onClose: ({ context }, code) => context.closed(code),
  };
}
