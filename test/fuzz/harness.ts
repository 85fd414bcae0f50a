/** What the engine has to know of one decoder to fuzz it. A file of `harnesses/` exports one as `harness`. */
export interface Harness {
  readonly name: string;
  /** The first inputs: well-formed ones, and ones with the faults that we know. */
  readonly seeds: readonly (string | Uint8Array)[];
  /** Pieces that random bytes would seldom hit; literals of the decoder's own source are added by the engine. */
  readonly dictionary?: readonly (string | Uint8Array)[];
  /** Longest input. Small inputs are executed faster, and faults seldom need large ones. */
  readonly inputBytesMax: number;
  /** Executions in the bounded run of every submission; half as many for decoders that take long. */
  readonly runsInCi?: number;
  /**
   * Decodes the input, and checks the result. Returns whether the decoder accepted the input: a documented refusal is
   * `false`, and any other fault is thrown. The harness may change and keep `input`.
   */
  run(input: Buffer): boolean | Promise<boolean>;
}
