import { describe, expect, it } from 'vitest';
import { listeningOf, Outbound, type WritingEnd } from '../../src/net/outbound.ts';

/** A socket whose peer takes what is written when the test says so. */
class Socket implements WritingEnd {
  writableLength = 0;
  writableNeedDrain = false;
  readonly #waiting: (() => void)[] = [];

  write(bytes: Buffer, onWritten?: () => void): void {
    this.writableLength += bytes.length;
    if (onWritten !== undefined) this.#waiting.push(onWritten);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  take(bytes = this.writableLength): void {
    this.writableLength -= bytes;
    for (const onWritten of this.#waiting.splice(0)) onWritten();
  }
}

function rig(writableNeedDrain = false) {
  const socket = new Socket();
  socket.writableNeedDrain = writableNeedDrain;
  const continued: string[] = [];
  const outbound = new Outbound(socket, 8, {
    continueDelivery: () => continued.push('delivery'),
    continueReading: () => continued.push('reading'),
  });
  return { socket, outbound, continued };
}

describe('the back-pressure of a connection', () => {
  it('continues deliveries and then reading, once for both, when the peer took what was written', () => {
    const { socket, outbound, continued } = rig();
    socket.write(Buffer.alloc(20));
    outbound.hold();
    outbound.stall();
    expect([outbound.isHeld, outbound.isStalled, socket.waiting]).toEqual([true, true, 1]);
    socket.take();
    expect(continued).toEqual(['delivery', 'reading']);
    expect([outbound.isHeld, outbound.isStalled]).toEqual([false, false]);
  });

  it('waits again while too much is unsent', () => {
    const { socket, outbound, continued } = rig();
    socket.write(Buffer.alloc(20));
    outbound.hold();
    socket.take(11);
    expect([continued, socket.waiting]).toEqual([[], 1]);
    socket.take(1);
    expect(continued).toEqual(['delivery']);
  });

  it('writes nothing to learn of a drain that the stream reports by itself', () => {
    const { socket, outbound, continued } = rig(true);
    outbound.hold();
    expect(socket.waiting).toBe(0);
    outbound.drained();
    expect(continued).toEqual(['delivery']);
  });

  it('does not read on when what it delivered has filled the socket again', () => {
    const socket = new Socket();
    const continued: string[] = [];
    const outbound: Outbound = new Outbound(socket, 8, {
      continueDelivery: () => {
        outbound.stall();
      },
      continueReading: () => continued.push('reading'),
    });
    outbound.hold();
    outbound.stall();
    socket.take();
    expect([continued, outbound.isStalled]).toEqual([[], true]);
  });

  it('continues nothing after its end', () => {
    const { socket, outbound, continued } = rig();
    outbound.hold();
    outbound.stall();
    outbound.end();
    socket.take();
    outbound.drained();
    expect([continued, outbound.isHeld, outbound.isStalled]).toEqual([[], false, false]);
  });

  it.each([
    [8, 'prompt'],
    [9, 'slow'],
    [64, 'slow'],
    [65, 'deaf'],
  ] as const)('takes a peer with %i bytes unsent for %s', (unsentBytes, listening) => {
    expect(listeningOf(unsentBytes, { outboundHeldFromBytes: 8, outboundBytesMax: 64 })).toBe(listening);
    // Beside a delivery the answers alone are judged.
    const beside = listeningOf(
      1_000 + unsentBytes,
      { outboundHeldFromBytes: 8, outboundBytesMax: 64 },
      1_000,
    );
    expect(beside).toBe(unsentBytes > 64 ? 'deaf' : 'slow');
  });
});
