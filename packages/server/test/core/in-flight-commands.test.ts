import { describe, expect, it } from 'vitest';
import { InFlightCommands } from '../../src/core/in-flight-commands.ts';

const limits = { commandsInFlightMax: 4, commandsInFlightBytesMax: 100 };

describe('what is under way', () => {
  it('is full at so many commands, and has room again at half of them', () => {
    const underWay = new InFlightCommands();
    for (let begun = 0; begun < 4; begun += 1) {
      expect(underWay.isFull(limits)).toBe(false);
      underWay.begin(0);
    }
    expect(underWay.isFull(limits)).toBe(true);
    underWay.end(0);
    expect(underWay.hasRoom(limits)).toBe(false);
    underWay.end(0);
    expect(underWay.hasRoom(limits)).toBe(true);
  });

  it('is full at so many bytes, however few commands hold them', () => {
    const underWay = new InFlightCommands();
    underWay.begin(60);
    expect(underWay.isFull(limits)).toBe(false);
    underWay.begin(40);
    expect(underWay.isFull(limits)).toBe(true);
    underWay.end(40);
    expect(underWay.hasRoom(limits)).toBe(false);
    underWay.end(60);
    expect(underWay.hasRoom(limits)).toBe(true);
    expect(underWay.isEmpty).toBe(true);
  });

  it('takes one command that is larger than the bound by itself', () => {
    const underWay = new InFlightCommands();
    underWay.begin(1_000);
    expect(underWay.isFull(limits)).toBe(true);
    underWay.end(1_000);
    expect(underWay.hasRoom(limits)).toBe(true);
  });
});
