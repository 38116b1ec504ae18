/** Steps tell how far they are; the edge (an activity, a terminal) decides what to do with it. */
export interface StepIO {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: StepProgress) => void;
}

export interface StepProgress {
  readonly phase?: string;
  readonly done?: number;
  readonly total?: number;
  readonly unit?: 'bytes' | 'keys';
  readonly note?: string;
}
