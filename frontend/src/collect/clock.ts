/** Seconds since a trial began; stands still for nobody, but remembers when it was paused. */

export class Clock {
  private readonly zero: number;
  private since: number | null = null;
  readonly pauses: [number, number][] = [];

  constructor(private readonly now: () => number = () => performance.now()) {
    this.zero = now();
  }

  get seconds(): number {
    return Math.round(this.now() - this.zero) / 1000;
  }

  get paused(): boolean {
    return this.since !== null;
  }

  pause(): void {
    this.since ??= this.seconds;
  }

  resume(): void {
    if (this.since !== null) this.pauses.push([this.since, this.seconds]);
    this.since = null;
  }
}
