/** What the engine has to know of one decoder to fuzz it. A file of `harnesses/` exports one as `harness`. */
export interface Harness {
  readonly name: string;
  /** Inputs to begin with: what is well formed, and what is not in ways that were thought of. */
  readonly seeds: readonly (string | Uint8Array)[];
  /** Pieces that random bytes would seldom hit; literals of the decoder's own source are added by the engine. */
  readonly dictionary?: readonly (string | Uint8Array)[];
  /** Longest input. Small inputs are executed faster, and faults seldom need large ones. */
  readonly inputBytesMax: number;
  /** Executions in the bounded run of every submission; half as many for decoders that take long. */
  readonly runsInCi?: number;
  /**
   * Decodes, and checks what was decoded. Whether the decoder took the input; a refusal of the kind that the decoder
   * documents is `false`, whatever else is wrong is thrown. `input` is the harness's own, to change and to keep.
   */
  run(input: Buffer): boolean | Promise<boolean>;
}
