import { EverywireError, gapNotice, type From } from '@everywire/protocol';
import { closeOf, gapCloseCode, gapReason } from '@everywire/protocol/everywire-v1';
import type { Batch, WireFormat } from '../../core/log/batch.ts';
import type { CloseReason, Notice, Sink } from '../../core/seams/sink.ts';
import type { PublishDraft, Session } from '../../core/seams/session-api.ts';
import type { Subscription } from '../../core/seams/subscription-api.ts';
import type { WebSocketPeer } from '../../websocket/peer.ts';
import { envelopeFormat, gapText, rawFormat, typeOfFrame } from './format.ts';
import type { WebSocketHost } from './limits.ts';
import { CommandPacer } from '../parts/command-pacer.ts';
import { refusalOf } from '../parts/refusal.ts';

export interface RawRequest {
  /** A channel, or a filter for clients that only read. */
  readonly channel: string;
  readonly from: From | undefined;
  readonly format: 'raw' | 'envelope';
  /** The media type of the peer's messages, if it fits the kind of frame. */
  readonly type: string | undefined;
}

/** A connection to one channel: frames of the server are its messages, and frames of the client are publishes to it. */
export class RawConnection implements Sink {
  readonly #host: WebSocketHost;
  readonly #drainCode: number;
  readonly #channel: string;
  readonly #format: WireFormat;
  readonly #type: string | undefined;
  #session!: Session;
  /** Undefined until the handshake is answered, which waits for the subscription. */
  #peer: WebSocketPeer<RawConnection> | undefined;
  #pacer: CommandPacer | undefined;
  /** The close code and reason, which may be known before the handshake is answered. */
  #closing: { readonly code: number; readonly reason: string } | undefined;

  constructor(host: WebSocketHost, request: RawRequest, drainCode: number) {
    this.#host = host;
    this.#drainCode = drainCode;
    this.#channel = request.channel;
    this.#format = request.format === 'raw' ? rawFormat : envelopeFormat;
    this.#type = request.type;
  }

  /** Follows the channel from `begin` on. @throws EverywireError */
  subscribe(session: Session, from: From | undefined): Promise<Subscription> {
    this.#session = session;
    return session.subscribe(this.#channel, { from });
  }

  /** The handshake is answered. */
  begin(peer: WebSocketPeer<RawConnection>, subscription: Subscription): void {
    this.#peer = peer;
    this.#pacer = new CommandPacer(peer, this.#host.limits);
    if (this.#closing !== undefined) {
      peer.close(this.#closing.code, this.#closing.reason);
      return;
    }
    for (const gap of subscription.startGaps) this.notify({ kind: 'gap', subscription, gap });
    subscription.start();
  }

  receive(kind: 'text' | 'binary', payload: Buffer): void {
    // A text frame says that it is text; a JSON object or array in it is JSON.
    const isUntold = kind === 'text' && this.#type === undefined;
    const type = typeOfFrame(kind, this.#type);
    this.#publish(isUntold ? { payload, untoldType: type } : { payload, type });
  }

  ended(): void {
    this.#session.end();
  }

  drained(): void {
    this.#session.drained();
  }

  deliver(batch: Batch): boolean {
    return this.#peer!.send(batch.as(this.#format).bytes);
  }

  notify(notice: Notice): void {
    switch (notice.kind) {
      case 'gap':
        if (this.#format === envelopeFormat) this.#peer!.sendText(gapText(notice.gap));
        else this.#peer!.close(gapCloseCode, gapReason(gapNotice(notice.gap)));
        break;
      case 'ended':
        this.close({
          error: notice.error ?? new EverywireError('going_away', 'The subscription has ended.'),
        });
        break;
      case 'goaway':
        this.#close(this.#drainCode, 'going_away');
        break;
    }
  }

  close({ error }: CloseReason): void {
    const { code, reason } = closeOf(error);
    this.#close(code, reason);
  }

  #close(code: number, reason: string): void {
    this.#closing = { code, reason };
    this.#peer?.close(code, reason);
  }

  /** There is no answer to a raw frame, so one that cannot be published ends the connection with the reason. */
  #publish(draft: PublishDraft): void {
    void this.#pacer?.run(
      () => this.#session.publish(this.#channel, draft),
      (caught) => this.close({ error: refusalOf(caught, this.#host.log, 'a raw WebSocket frame failed') }),
      draft.payload.length,
    );
    // Slows the client down, since its frames have no answers that could carry a refusal.
    this.#pacer?.holdWhile(() => this.#session.publishWaitMs, this.#host.clock);
  }
}
